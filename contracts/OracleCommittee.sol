// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IOracleCommittee} from "./interfaces/IOracleCommittee.sol";
import {Claims} from "./libraries/Claims.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title The committee: seats, trust domains, quorum checks and contradictions.
/// @notice IOracleCommittee documents it.
contract OracleCommittee is IOracleCommittee, AccessManaged, EIP712 {
    struct Member {
        uint8 domain; // 0: never seated
        bool seated;
        bool barred;
        bool silenced;
        uint8 index;
    }

    bytes32 private constant COMPROMISE_TYPE =
        keccak256("Compromise(address registry,bytes32 device,uint40 since,uint256 number)");
    uint256 private constant MEMBER_LIMIT = 216; // bits of `signers`

    /// @inheritdoc IOracleCommittee
    uint256 public immutable minDomains;
    /// @inheritdoc IOracleCommittee
    uint256 public seatedCount;
    /// @inheritdoc IOracleCommittee
    mapping(address => Member) public memberOf;
    /// @inheritdoc IOracleCommittee
    address[] public memberAt;
    /// @inheritdoc IOracleCommittee
    mapping(address rail => address) public challengesOf;

    constructor(
        address access,
        address[] memory members,
        uint8[] memory domains,
        uint256 minDomains_
    ) AccessManaged(access) EIP712("proofrail-oracles", "2") {
        if (members.length != domains.length) {
            revert MembersMismatch(members.length, domains.length);
        }
        minDomains = minDomains_;
        for (uint256 i; i < members.length; ++i) {
            _seat(members[i], domains[i]);
        }
    }

    /// @inheritdoc IOracleCommittee
    function seat(address member, uint8 domain) external restricted {
        _seat(member, domain);
    }

    /// @inheritdoc IOracleCommittee
    function unseat(address member) external restricted {
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
    function silence(address member) external {
        // resolve
        Member storage member_ = memberOf[member];
        (uint256 left, uint256 domains) = _ableWithout(1 << member_.index);
        uint256 need = quorum();
        // check
        if (!Roles.holds(authority(), Roles.GUARDIAN, msg.sender)) {
            revert NotInRole(msg.sender, Roles.GUARDIAN);
        }
        if (!member_.seated) revert NotAMember(member);
        if (!_able(member_)) revert AlreadySilent(member);
        if (left < need || _count(domains) < minDomains) revert TooManySilent(left, need);
        // effect
        member_.silenced = true;
        // event
        emit MemberSilenced(member);
    }

    /// @inheritdoc IOracleCommittee
    function requireQuorum(
        address product,
        bytes32[] calldata claimHashes,
        bytes[] calldata signatures
    ) external view returns (uint256 domainBitmap, uint216 signers) {
        return _signedBy(Claims.attestation(msg.sender, product, claimHashes), 0, signatures);
    }

    /// @inheritdoc IOracleCommittee
    function rulingQuorum(
        address rail,
        bytes32 payment,
        bool refund,
        uint216 excluded,
        bytes[] calldata signatures
    ) external view returns (uint256 domainBitmap) {
        (uint256 others, uint256 domains) = _ableWithout(excluded);
        (, uint256 allDomains) = _ableWithout(0);
        if (others < quorum() || domains != allDomains) excluded = 0;
        (domainBitmap,) = _signedBy(Claims.ruling(rail, payment, refund), excluded, signatures);
    }

    /// @inheritdoc IOracleCommittee
    function compromiseQuorum(
        bytes32 device,
        uint40 since,
        uint256 number,
        bytes[] calldata signatures
    ) external view returns (uint256 domainBitmap) {
        bytes32 structHash =
            keccak256(abi.encode(COMPROMISE_TYPE, msg.sender, device, since, number));
        (domainBitmap,) = _signedBy(structHash, 0, signatures);
    }

    /// @inheritdoc IOracleCommittee
    function reportEquivocation(address rail, Testimony calldata a, Testimony calldata b)
        external
    {
        // resolve
        (address signer, bytes32 claimA) = _signerOf(rail, a);
        (address other, bytes32 claimB) = _signerOf(rail, b);
        // check
        bool sameSlot =
            a.claim.agreement == b.claim.agreement && a.claim.sequence == b.claim.sequence;
        if (signer != other || claimA == claimB || !sameSlot) revert NotEquivocation();
        // check, effect
        _bar(signer);
        // event
        emit MemberBarred(signer, a.claim.agreement, a.claim.sequence);
    }

    /// @inheritdoc IOracleCommittee
    function reportRulings(
        address rail,
        bytes32 payment,
        bytes calldata refund,
        bytes calldata stand
    ) external {
        // resolve
        bytes32 refunds = _hashTypedDataV4(Claims.ruling(rail, payment, true));
        bytes32 stands = _hashTypedDataV4(Claims.ruling(rail, payment, false));
        address signer = ECDSA.recoverCalldata(refunds, refund);
        // check
        if (signer != ECDSA.recoverCalldata(stands, stand)) revert NotEquivocation();
        // check, effect
        _bar(signer);
        // event
        emit MemberBarredForRulings(signer, rail, payment);
    }

    /// @inheritdoc IOracleCommittee
    function setChallenges(address rail, address challenges) external restricted {
        // effect
        challengesOf[rail] = challenges;
        // event
        emit ChallengesSet(rail, challenges);
    }

    /// @inheritdoc IOracleCommittee
    function stopChallenges(address rail) external {
        // check
        if (!Roles.holds(authority(), Roles.GUARDIAN, msg.sender)) {
            revert NotInRole(msg.sender, Roles.GUARDIAN);
        }
        // effect
        challengesOf[rail] = address(0);
        // event
        emit ChallengesSet(rail, address(0));
    }

    /// @inheritdoc IOracleCommittee
    function barAttesters(address rail, bytes32 payment, uint216 signers) external {
        // check
        if (msg.sender != challengesOf[rail]) revert NotChallenges(msg.sender);
        // effect, event: members that are barred already stay so
        uint256 count = memberAt.length;
        for (uint256 i; i < count; ++i) {
            address member = memberAt[i];
            if (signers & (uint216(1) << uint8(i)) == 0 || memberOf[member].barred) continue;
            memberOf[member].barred = true;
            emit MemberBarredForFault(member, rail, payment);
        }
    }

    /// @inheritdoc IOracleCommittee
    function memberCount() external view returns (uint256) {
        return memberAt.length;
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
        if (member_.barred) revert Barred(member);
        if (_able(member_)) revert AlreadySeated(member);
        if (member == address(0) || domain == 0) revert DomainInvalid(member);
        // effect
        if (member_.domain == 0) {
            if (memberAt.length == MEMBER_LIMIT) revert TooManyMembers(MEMBER_LIMIT);
            member_.index = uint8(memberAt.length);
            memberAt.push(member);
        }
        if (!member_.seated) ++seatedCount;
        member_.domain = domain;
        member_.seated = true;
        member_.silenced = false;
        // event
        emit MemberSeated(member, domain, seatedCount);
    }

    function _bar(address member) private {
        // resolve
        Member storage member_ = memberOf[member];
        // check
        if (member_.domain == 0) revert NotAMember(member);
        if (member_.barred) revert Barred(member);
        // effect
        member_.barred = true;
    }

    /// @dev Count and trust domains of the signers that count; the others are skipped.
    function _signedBy(bytes32 structHash, uint216 excluded, bytes[] calldata signatures)
        private
        view
        returns (uint256 domains, uint216 signers)
    {
        bytes32 digest = _hashTypedDataV4(structHash);
        uint256 have;
        for (uint256 i; i < signatures.length; ++i) {
            (address signer,,) = ECDSA.tryRecoverCalldata(digest, signatures[i]);
            Member memory member_ = memberOf[signer]; // the zero address is never seated
            uint216 bit = uint216(1) << member_.index;
            if (!_able(member_) || (signers | excluded) & bit != 0) continue;
            signers |= bit;
            domains |= 1 << member_.domain;
            ++have;
        }
        uint256 need = quorum();
        if (have < need) revert QuorumMissing(have, need);
        uint256 from = _count(domains);
        if (from < minDomains) revert DomainsMissing(from, minDomains);
    }

    /// @dev How many members can sign, and from which trust domains, where some are left out.
    function _ableWithout(uint256 excluded) private view returns (uint256 able, uint256 domains) {
        uint256 count = memberAt.length;
        for (uint256 i; i < count; ++i) {
            Member memory member_ = memberOf[memberAt[i]];
            if (!_able(member_) || excluded & (1 << i) != 0) continue;
            ++able;
            domains |= 1 << member_.domain;
        }
    }

    function _able(Member memory member_) private pure returns (bool) {
        return member_.seated && !member_.barred && !member_.silenced;
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
