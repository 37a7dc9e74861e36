// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "./IPaymentRail.sol";

/// @title Who attests, from which trust domain, and how many are enough.
/// @notice n seated members tolerate f = (n - 1) / 3 liars; n - f signatures are a quorum (2f + 1
/// where n = 3f + 1: 3 of 4). Signers must come from at least `minDomains` trust domains.
/// Warning: a barred member still counts in n. Barring lowers no threshold: it only silences the
/// barred member, until the steward unseats it.
/// Warning: n - f or more hostile members can attest anything; the rail's caps bound that loss.
interface IOracleCommittee {
    /// One side of an equivocation: the batch as it was signed, and the claim at `index` of it.
    struct Testimony {
        address product;
        bytes32[] claimHashes;
        uint256 index;
        IPaymentRail.Claim claim;
        bytes signature;
    }

    /// @notice A member got a seat.
    /// @param member address of the member's key
    /// @param domain its trust domain, 1 to 255
    /// @param seated how many members are seated now
    event MemberSeated(address indexed member, uint8 domain, uint256 seated);

    /// @notice A member lost its seat.
    /// @param member address of the member's key
    /// @param seated how many members are seated now
    event MemberUnseated(address indexed member, uint256 seated);

    /// @notice A member was shown to have signed two different claims, and is barred for ever.
    /// @param member address of the member's key
    /// @param agreement id of the agreement of both claims
    /// @param sequence sequence of both claims
    event MemberBarred(address indexed member, bytes32 indexed agreement, uint32 sequence);

    /// @notice Only the steward may call.
    /// @param caller who called
    error NotSteward(address caller);

    /// @notice This key has no seat, or never had one.
    /// @param signer address of the key
    error NotAMember(address signer);

    /// @notice This member is barred for ever.
    /// @param signer address of the member's key
    error Barred(address signer);

    /// @notice This member has a seat.
    /// @param member address of the member's key
    error AlreadySeated(address member);

    /// @notice The trust domain or the address is zero.
    /// @param member address that was to get a seat
    error DomainInvalid(address member);

    /// @notice The constructor's lists have different lengths.
    /// @param members how many members
    /// @param domains how many trust domains
    error MembersMismatch(uint256 members, uint256 domains);

    /// @notice Signatures are not in strictly ascending order of their signers.
    /// @param previous the signer before
    /// @param signer the signer that is not above it
    error SignersUnsorted(address previous, address signer);

    /// @notice Too few signatures.
    /// @param have how many were given
    /// @param need how many are a quorum
    error QuorumMissing(uint256 have, uint256 need);

    /// @notice The signers come from too few trust domains.
    /// @param have how many trust domains
    /// @param need the least that is asked for
    error DomainsMissing(uint256 have, uint256 need);

    /// @notice The two testimonies do not contradict each other.
    error NotEquivocation();

    /// @notice Seats a member under a trust domain. Only the steward. A barred member never comes
    /// back.
    /// @param member address of the member's key
    /// @param domain its trust domain, 1 to 255
    function seat(address member, uint8 domain) external;

    /// @notice Takes a seat away. Only the steward.
    /// @param member address of the member's key
    function unseat(address member) external;

    /// @notice Checks a batch's signatures for the calling rail. Reverts by name where they are not
    /// enough.
    /// @param product the batch's product
    /// @param claimHashes EIP-712 struct hashes of the batch's claims, in order
    /// @param signatures in ascending signer order
    /// @return domainBitmap the signers' trust domains: bit n for domain n
    function requireQuorum(
        address product,
        bytes32[] calldata claimHashes,
        bytes[] calldata signatures
    ) external view returns (uint256 domainBitmap);

    /// @notice Checks the signatures of a dispute's ruling for the calling rail. Reverts by name
    /// where they are not enough.
    /// @dev EIP-712 "Ruling(address rail,bytes32 payment,bool refund)".
    /// @param payment id of the disputed payment
    /// @param refund true: back to the agreement's escrow; false: to the payee
    /// @param signatures in ascending signer order
    /// @return domainBitmap the signers' trust domains: bit n for domain n
    function rulingQuorum(bytes32 payment, bool refund, bytes[] calldata signatures)
        external
        view
        returns (uint256 domainBitmap);

    /// @notice Bars for ever a member that signed two different claims of one agreement and
    /// sequence for one rail. Anyone may present the two.
    /// @param rail the rail that both were signed for
    /// @param a one testimony
    /// @param b another, by the same member
    function reportEquivocation(address rail, Testimony calldata a, Testimony calldata b) external;

    /// @notice Says how many signatures a batch needs now.
    /// @return need the number; unreachable while no member is seated
    function quorum() external view returns (uint256 need);

    /// @notice Says how many members are seated, barred ones included.
    /// @return count the number of seats
    function seatedCount() external view returns (uint256 count);

    /// @notice Says from how many trust domains signers must come.
    /// @return need the least number
    function minDomains() external view returns (uint256 need);

    /// @notice Reads a member.
    /// @param member address of the member's key
    /// @return domain its trust domain; 0: it was never seated
    /// @return seated whether it has a seat now
    /// @return barred whether it is barred for ever
    function memberOf(address member)
        external
        view
        returns (uint8 domain, bool seated, bool barred);
}
