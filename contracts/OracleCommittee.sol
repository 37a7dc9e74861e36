// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IOracleCommittee} from "./interfaces/IOracleCommittee.sol";
import {Claims} from "./libraries/Claims.sol";

/// @title The committee: seats, trust domains, quorum checks and equivocations.
/// @notice IOracleCommittee documents it.
contract OracleCommittee is IOracleCommittee, EIP712 {
    struct Member {
        uint8 domain; // 0: never seated
        bool seated;
        bool barred;
    }

    /// @notice Who seats and unseats members.
    address public immutable steward;
    /// @inheritdoc IOracleCommittee
    uint256 public immutable minDomains;
    /// @inheritdoc IOracleCommittee
    uint256 public seatedCount;
    /// @inheritdoc IOracleCommittee
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

    /// @inheritdoc IOracleCommittee
    function seat(address member, uint8 domain) external onlySteward {
        _seat(member, domain);
    }

    /// @inheritdoc IOracleCommittee
    function unseat(address member) external onlySteward {
        // resolve
        Member storage member_ = memberOf[member];
        // check
        if (!member_.seated) revert NotAMember(member);
        // effect
        member_.seated = false;
        uint256 seated = --seatedCount;
        // event
        emit MemberUnseated(member, seated);
    }

    /// @inheritdoc IOracleCommittee
    function requireQuorum(
        address product,
        bytes32[] calldata claimHashes,
        bytes[] calldata signatures
    ) external view returns (uint256 domainBitmap) {
        return _signedBy(Claims.attestation(msg.sender, product, claimHashes), signatures);
    }

    /// @inheritdoc IOracleCommittee
    function rulingQuorum(bytes32 payment, bool refund, bytes[] calldata signatures)
        external
        view
        returns (uint256 domainBitmap)
    {
        return _signedBy(Claims.ruling(msg.sender, payment, refund), signatures);
    }

    /// @inheritdoc IOracleCommittee
    function reportEquivocation(address rail, Testimony calldata a, Testimony calldata b)
        external
    {
        // resolve
        (address signer, bytes32 claimA) = _signerOf(rail, a);
        (address other, bytes32 claimB) = _signerOf(rail, b);
        Member storage member_ = memberOf[signer];
        // check
        bool sameSlot =
            a.claim.agreement == b.claim.agreement && a.claim.sequence == b.claim.sequence;
        if (signer != other || claimA == claimB || !sameSlot) revert NotEquivocation();
        if (member_.domain == 0) revert NotAMember(signer);
        if (member_.barred) revert Barred(signer);
        // effect
        member_.barred = true;
        // event
        emit MemberBarred(signer, a.claim.agreement, a.claim.sequence);
    }

    /// @inheritdoc IOracleCommittee
    function quorum() public view returns (uint256) {
        uint256 n = seatedCount;
        return n == 0 ? type(uint256).max : n - (n - 1) / 3;
    }

    function _seat(address member, uint8 domain) private {
        // resolve
        Member storage member_ = memberOf[member];
        // check
        if (member_.seated) revert AlreadySeated(member);
        if (member_.barred) revert Barred(member);
        if (member == address(0) || domain == 0) revert DomainInvalid(member);
        // effect
        member_.domain = domain;
        member_.seated = true;
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
            Member memory member_ = memberOf[signer];
            if (!member_.seated) revert NotAMember(signer);
            if (member_.barred) revert Barred(signer);
            if (signer <= previous) revert SignersUnsorted(previous, signer);
            previous = signer;
            bitmap |= 1 << member_.domain;
        }
        uint256 domains = _count(bitmap);
        if (domains < minDomains) revert DomainsMissing(domains, minDomains);
    }

    function _signerOf(address rail, Testimony calldata testimony)
        private
        view
        returns (address signer, bytes32 claimHash)
    {
        claimHash = Claims.hash(testimony.claim);
        bool listed = testimony.index < testimony.claimHashes.length
            && testimony.claimHashes[testimony.index] == claimHash;
        if (!listed) revert NotEquivocation();
        bytes32 structHash = Claims.attestation(rail, testimony.product, testimony.claimHashes);
        signer = ECDSA.recoverCalldata(_hashTypedDataV4(structHash), testimony.signature);
    }

    function _count(uint256 bitmap) private pure returns (uint256 bits) {
        for (; bitmap != 0; ++bits) {
            bitmap &= bitmap - 1;
        }
    }
}
