// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IOracleCommittee} from "./interfaces/IOracleCommittee.sol";
import {Claims} from "./libraries/Claims.sol";
import {Roles} from "./libraries/Roles.sol";
import {SignerList} from "./libraries/SignerList.sol";

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
    uint256 private constant SIGNATURE_BYTES = 65;
    uint256 private constant HALF_ORDER = // of secp256k1
        0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    uint256 private constant PAIRS = // 0101...
        0x5555555555555555555555555555555555555555555555555555555555555555;
    uint256 private constant FOURS = // 00110011...
        0x3333333333333333333333333333333333333333333333333333333333333333;
    uint256 private constant BYTES = // 00001111...
        0x0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F;
    uint256 private constant ONES = // 1 in each byte
        0x0101010101010101010101010101010101010101010101010101010101010101;

    /// @inheritdoc IOracleCommittee
    uint256 public immutable minDomains;
    /// @inheritdoc IOracleCommittee
    mapping(address => Member) public memberOf;
    /// @inheritdoc IOracleCommittee
    address[] public memberAt;
    /// @inheritdoc IOracleCommittee
    mapping(address rail => address) public challengesOf;

    // One slot, which with the code of `_signerList` is all that a check of signatures reads. The
    // list follows from `memberOf`: each change of who can sign calls `_listSigners`.
    address private _signerList;
    uint96 private _seats;

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
        _listSigners();
    }

    /// @inheritdoc IOracleCommittee
    function seat(address member, uint8 domain) external restricted {
        _seat(member, domain);
        _listSigners();
    }

    /// @inheritdoc IOracleCommittee
    function unseat(address member) external restricted {
        // resolve
        Member storage member_ = memberOf[member];
        // check
        if (!member_.seated) revert NotAMember(member);
        // effect
        member_.seated = false;
        uint256 seated = --_seats;
        _listSigners();
        // event
        emit MemberUnseated(member, seated);
    }

    /// @inheritdoc IOracleCommittee
    function silence(address member) external {
        // resolve
        Member storage member_ = memberOf[member];
        uint256[] memory left = SignerList.without(_listed(), 1 << member_.index);
        uint256 need = quorum();
        // check
        if (!Roles.holds(authority(), Roles.GUARDIAN, msg.sender)) {
            revert NotInRole(msg.sender, Roles.GUARDIAN);
        }
        if (!member_.seated) revert NotAMember(member);
        if (!_able(member_)) revert AlreadySilent(member);
        if (left.length < need || _bits(SignerList.domainsOf(left)) < minDomains) {
            revert TooManySilent(left.length, need);
        }
        // effect
        member_.silenced = true;
        _listSigners();
        // event
        emit MemberSilenced(member);
    }

    /// @inheritdoc IOracleCommittee
    function requireQuorum(address product, bytes32 claims, bytes[] calldata signatures)
        external
        view
        returns (uint256 domainBitmap, uint216 signers)
    {
        bytes32 structHash = Claims.attestation(msg.sender, product, claims);
        return _signedBy(structHash, _listed(), signatures);
    }

    /// @inheritdoc IOracleCommittee
    function rulingQuorum(
        address rail,
        bytes32 payment,
        bool refund,
        uint216 excluded,
        bytes[] calldata signatures
    ) external view returns (uint256 domainBitmap) {
        uint256[] memory able = _listed();
        uint256[] memory others = SignerList.without(able, excluded);
        bool suffice = others.length >= quorum()
            && SignerList.domainsOf(others) == SignerList.domainsOf(able);
        bytes32 structHash = Claims.ruling(rail, payment, refund);
        (domainBitmap,) = _signedBy(structHash, suffice ? others : able, signatures);
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
        (domainBitmap,) = _signedBy(structHash, _listed(), signatures);
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
        _listSigners();
    }

    /// @inheritdoc IOracleCommittee
    function memberCount() external view returns (uint256) {
        return memberAt.length;
    }

    /// @inheritdoc IOracleCommittee
    function seatedCount() external view returns (uint256) {
        return _seats;
    }

    /// @inheritdoc IOracleCommittee
    function quorum() public view returns (uint256) {
        return _quorumOf(_seats);
    }

    function _quorumOf(uint256 n) internal pure returns (uint256) {
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
        if (!member_.seated) ++_seats;
        member_.domain = domain;
        member_.seated = true;
        member_.silenced = false;
        // event
        emit MemberSeated(member, domain, _seats);
    }

    function _bar(address member) private {
        // resolve
        Member storage member_ = memberOf[member];
        // check
        if (member_.domain == 0) revert NotAMember(member);
        if (member_.barred) revert Barred(member);
        // effect
        member_.barred = true;
        _listSigners();
    }

    /// @dev Writes the list of who can sign again, from `memberOf`.
    function _listSigners() private {
        uint256 count = memberAt.length;
        uint256[] memory able = new uint256[](count);
        uint256 size;
        for (uint256 i; i < count; ++i) {
            address member = memberAt[i];
            Member memory member_ = memberOf[member];
            if (!_able(member_)) continue;
            uint256 entry = SignerList.entryOf(member, member_.domain, member_.index);
            SignerList.insert(able, size++, entry);
        }
        _signerList = SignerList.write(able, size);
    }

    /// @dev Who can sign: entries of SignerList.
    function _listed() private view returns (uint256[] memory) {
        return SignerList.read(_signerList);
    }

    /// @dev Checks the signatures of those who are listed in `able`; the others are skipped.
    function _signedBy(bytes32 structHash, uint256[] memory able, bytes[] calldata signatures)
        private
        view
        returns (uint256 domains, uint216 signers)
    {
        bytes32 digest = _hashTypedDataV4(structHash);
        uint256 members;
        uint256 next;
        for (uint256 i; i < signatures.length; ++i) {
            uint256 members_;
            uint256 domains_;
            (members_, domains_, next) = _signersOf(digest, able, next, signatures[i]);
            members |= members_;
            domains |= domains_;
        }
        (uint256 have, uint256 need) = (_bits(members), quorum());
        if (have < need) revert QuorumMissing(have, need);
        uint256 from = _bits(domains);
        if (from < minDomains) revert DomainsMissing(from, minDomains);
        return (domains, uint216(members));
    }

    /// @dev Who of `able` signed, from which trust domains, and where to search for the next signer.
    /// `joined` has one signature or more, one after the other.
    function _signersOf(
        bytes32 digest,
        uint256[] memory able,
        uint256 start,
        bytes calldata joined
    ) private view returns (uint256 members, uint256 domains, uint256 next) {
        next = start;
        if (joined.length % SIGNATURE_BYTES != 0) return (0, 0, next);
        for (uint256 i; i < joined.length;) {
            uint256 signer = _signerAt(digest, joined, i);
            uint256 entry;
            (entry, next) = SignerList.find(able, signer, next);
            unchecked {
                i += SIGNATURE_BYTES; // no more than `joined.length`
            }
            if (entry == 0) continue;
            members |= SignerList.memberBit(entry); // a second signature changes nothing
            domains |= SignerList.domainBit(entry);
        }
    }

    /// @dev Who signed, from r, s and v at an offset: ECDSA.tryRecover, 86 gas cheaper. 0, which no
    /// member has, where nobody did, and where s is in the upper half of the curve's order: each
    /// signature has one form that counts.
    function _signerAt(bytes32 digest, bytes calldata joined, uint256 offset)
        private
        view
        returns (uint256 signer)
    {
        uint256 s;
        assembly ("memory-safe") {
            let at := add(joined.offset, offset)
            let input := mload(0x40)
            s := calldataload(add(at, 32))
            mstore(input, digest)
            mstore(add(input, 32), byte(0, calldataload(add(at, 64)))) // v
            calldatacopy(add(input, 64), at, 64) // r, s
            mstore(0, 0) // stays so where nobody signed: ecrecover answers nothing then
            pop(staticcall(gas(), 1, input, 128, 0, 32))
            signer := mload(0)
        }
        if (s > HALF_ORDER) return 0;
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
        bytes32 claims = keccak256(abi.encodePacked(testimony.claimHashes));
        bytes32 structHash = Claims.attestation(rail, testimony.product, claims);
        signer = ECDSA.recoverCalldata(_hashTypedDataV4(structHash), testimony.signature);
    }

    /// @dev How many bits are set, of no more than 255: adds them in pairs, in fours, in bytes, then
    /// all bytes in the highest one of a product. A loop would cost 50 gas more for each signature.
    function _bits(uint256 bitmap) private pure returns (uint256) {
        unchecked {
            bitmap -= (bitmap >> 1) & PAIRS;
            bitmap = (bitmap & FOURS) + ((bitmap >> 2) & FOURS);
            bitmap = (bitmap + (bitmap >> 4)) & BYTES;
            return bitmap * ONES >> 248;
        }
    }
}
