// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IOracleCommittee} from "./interfaces/IOracleCommittee.sol";
import {Claims} from "./libraries/Claims.sol";

/// @title The committee of IOracleCommittee, where the prose is.
contract OracleCommittee is IOracleCommittee, EIP712 {
    struct Member {
        uint8 domain; // 0: never seated
        bool seated;
        bool barred;
    }

    address public immutable steward;
    uint256 public immutable minDomains;
    uint256 public seatedCount;
    mapping(address => Member) public memberOf;

    modifier onlySteward() {
        if (msg.sender != steward) revert NotSteward(msg.sender);
        _;
    }

    constructor(
        address steward_,
        address[] memory members,
        uint8[] memory domains,
        uint256 minDomains_
    ) EIP712("proofrail-oracles", "1") {
        if (members.length != domains.length) {
            revert MembersMismatch(members.length, domains.length);
        }
        steward = steward_;
        minDomains = minDomains_;
        for (uint256 i; i < members.length; ++i) {
            _seat(members[i], domains[i]);
        }
    }

    function seat(address member, uint8 domain) external onlySteward {
        _seat(member, domain);
    }

    function unseat(address member) external onlySteward {
        // resolve
        Member storage one = memberOf[member];
        // check
        if (!one.seated) revert NotAMember(member);
        // effect
        one.seated = false;
        uint256 seated = --seatedCount;
        // event
        emit MemberUnseated(member, seated);
    }

    function requireQuorum(
        address product,
        bytes32[] calldata claimHashes,
        bytes[] calldata signatures
    ) external view returns (uint256 domainBitmap) {
        return _signedBy(Claims.attestation(msg.sender, product, claimHashes), signatures);
    }

    function rulingQuorum(bytes32 payment, bool refund, bytes[] calldata signatures)
        external
        view
        returns (uint256 domainBitmap)
    {
        return _signedBy(Claims.ruling(msg.sender, payment, refund), signatures);
    }

    function reportEquivocation(address rail, Testimony calldata a, Testimony calldata b)
        external
    {
        // resolve
        (address signer, bytes32 claimA) = _testify(rail, a);
        (address other, bytes32 claimB) = _testify(rail, b);
        Member storage one = memberOf[signer];
        // check
        bool sameSlot =
            a.claim.agreement == b.claim.agreement && a.claim.sequence == b.claim.sequence;
        if (signer != other || claimA == claimB || !sameSlot) revert NotEquivocation();
        if (one.domain == 0) revert NotAMember(signer);
        if (one.barred) revert Barred(signer);
        // effect
        one.barred = true;
        // event
        emit MemberBarred(signer, a.claim.agreement, a.claim.sequence);
    }

    function quorum() public view returns (uint256) {
        uint256 n = seatedCount;
        return n == 0 ? type(uint256).max : n - (n - 1) / 3;
    }

    function _seat(address member, uint8 domain) private {
        // resolve
        Member storage one = memberOf[member];
        // check
        if (one.seated) revert AlreadySeated(member);
        if (one.barred) revert Barred(member);
        if (member == address(0) || domain == 0) revert DomainInvalid(member);
        // effect
        one.domain = domain;
        one.seated = true;
        uint256 seated = ++seatedCount;
        // event
        emit MemberSeated(member, domain, seated);
    }

    function _signedBy(bytes32 structHash, bytes[] calldata signatures)
        private
        view
        returns (uint256 bitmap)
    {
        bytes32 digest = _hashTypedDataV4(structHash);
        uint256 need = quorum();
        if (signatures.length < need) revert QuorumMissing(signatures.length, need);
        address previous;
        for (uint256 i; i < signatures.length; ++i) {
            address signer = ECDSA.recoverCalldata(digest, signatures[i]);
            Member memory one = memberOf[signer];
            if (!one.seated) revert NotAMember(signer);
            if (one.barred) revert Barred(signer);
            if (signer <= previous) revert SignersUnsorted(previous, signer);
            previous = signer;
            bitmap |= 1 << one.domain;
        }
        uint256 domains = _count(bitmap);
        if (domains < minDomains) revert DomainsMissing(domains, minDomains);
    }

    function _testify(address rail, Testimony calldata told)
        private
        view
        returns (address signer, bytes32 claimHash)
    {
        claimHash = Claims.hash(told.claim);
        if (told.index >= told.claimHashes.length || told.claimHashes[told.index] != claimHash) {
            revert NotEquivocation();
        }
        bytes32 structHash = Claims.attestation(rail, told.product, told.claimHashes);
        signer = ECDSA.recoverCalldata(_hashTypedDataV4(structHash), told.signature);
    }

    function _count(uint256 bitmap) private pure returns (uint256 bits) {
        for (; bitmap != 0; ++bits) {
            bitmap &= bitmap - 1;
        }
    }
}
