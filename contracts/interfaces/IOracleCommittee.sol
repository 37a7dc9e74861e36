// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "./IPaymentRail.sol";

/// @title Who attests, from which trust domain, and how many are enough.
/// @notice n seated members tolerate f = (n - 1) / 3 liars; n - f signatures are a quorum (2f + 1
/// where n = 3f + 1: 3 of 4). Signers must come from at least `minDomains` trust domains.
/// A signature that does not count is skipped: that of a stranger, of a member that is unseated,
/// barred or silenced, a second one of the same member, a malformed one. So f hostile members stop
/// nothing. Signatures may come in any order, each in 65 bytes (r, s, v). An element of `signatures`
/// may hold several, one after the other: in one element, in ascending order of the signers, each
/// costs least. An element whose length is no multiple of 65 does not count as a whole.
/// Each member has an index, from 0 in the order of the first seats; it keeps it for ever.
/// The steward seats and unseats, with the access manager's delay. The guardian silences at once.
/// Warning: barred and silenced members still count in n. Barring lowers no threshold: it only
/// silences the member, until the steward unseats it.
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

    /// @notice A member got a seat; its silence ended.
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

    /// @notice A member was shown to have signed both rulings on one payment, and is barred for
    /// ever.
    /// @param member address of the member's key
    /// @param rail the rail of the payment
    /// @param payment id of the payment
    event MemberBarredForRulings(
        address indexed member, address indexed rail, bytes32 indexed payment
    );

    /// @notice A member attested a claim whose record was proved to be bad, and is barred for ever.
    /// @param member address of the member's key
    /// @param rail the rail of the payment
    /// @param payment id of the payment
    event MemberBarredForFault(
        address indexed member, address indexed rail, bytes32 indexed payment
    );

    /// @notice The contract that proves faults of a rail's payments was named.
    /// @param rail the rail
    /// @param challenges its IChallenges; zero: none
    event ChallengesSet(address indexed rail, address challenges);

    /// @notice The guardian silenced a member: its signatures do not count until it is seated
    /// again.
    /// @param member address of the member's key
    event MemberSilenced(address indexed member);

    /// @notice Only a holder of this role may call; libraries/Roles.sol numbers them.
    /// @param caller who called
    /// @param role the role
    error NotInRole(address caller, uint64 role);

    /// @notice This key has no seat, or never had one.
    /// @param signer address of the key
    error NotAMember(address signer);

    /// @notice This member is barred for ever.
    /// @param signer address of the member's key
    error Barred(address signer);

    /// @notice This member has a seat and is not silenced.
    /// @param member address of the member's key
    error AlreadySeated(address member);

    /// @notice This member is silenced or barred already.
    /// @param member address of the member's key
    error AlreadySilent(address member);

    /// @notice The members that are left could be no quorum: the guardian cannot stop the rail for
    /// ever.
    /// @param left how many members could still sign
    /// @param need how many are a quorum
    error TooManySilent(uint256 left, uint256 need);

    /// @notice The trust domain or the address is zero.
    /// @param member address that was to get a seat
    error DomainInvalid(address member);

    /// @notice So many members were seated that no index is left.
    /// @param limit how many there can ever be
    error TooManyMembers(uint256 limit);

    /// @notice The constructor's lists have different lengths.
    /// @param members how many members
    /// @param domains how many trust domains
    error MembersMismatch(uint256 members, uint256 domains);

    /// @notice Too few signatures count.
    /// @param have how many count
    /// @param need how many are a quorum
    error QuorumMissing(uint256 have, uint256 need);

    /// @notice The signers come from too few trust domains.
    /// @param have how many trust domains
    /// @param need the least that is asked for
    error DomainsMissing(uint256 have, uint256 need);

    /// @notice Only the IChallenges of the rail may call.
    /// @param caller who called
    error NotChallenges(address caller);

    /// @notice The two testimonies do not contradict each other.
    error NotEquivocation();

    /// @notice Seats a member under a trust domain, or ends its silence. Only the steward, with the
    /// delay. A member that was unseated may come back; a barred one never does.
    /// @param member address of the member's key
    /// @param domain its trust domain, 1 to 255
    function seat(address member, uint8 domain) external;

    /// @notice Takes a seat away. Only the steward, with the delay: fewer seats give each member
    /// that is left more power.
    /// @param member address of the member's key
    function unseat(address member) external;

    /// @notice Makes a member's signatures worth nothing until it is seated again; it still counts
    /// in n. Only the guardian, at once, and only while the members that are left could be a quorum.
    /// @param member address of the member's key
    function silence(address member) external;

    /// @notice Checks a batch's signatures for the calling rail. Reverts by name where too few
    /// count.
    /// @param product the batch's product
    /// @param claims keccak256 of the EIP-712 struct hashes of the batch's claims, one after the
    /// other in their order
    /// @param signatures in any order
    /// @return domainBitmap the signers' trust domains: bit n for domain n
    /// @return signers who signed: bit n for the member with index n
    function requireQuorum(address product, bytes32 claims, bytes[] calldata signatures)
        external
        view
        returns (uint256 domainBitmap, uint216 signers);

    /// @notice Checks the signatures of a dispute's ruling. Reverts by name where too few count.
    /// Those of excluded members do not count as long as the other members that can sign could be a
    /// quorum and come from every trust domain that can sign.
    /// @dev EIP-712 "Ruling(address rail,bytes32 payment,bool refund)".
    /// @param rail the rail of the payment
    /// @param payment id of the disputed payment
    /// @param refund true: back to the agreement's escrow; false: to the payee
    /// @param excluded the members that attested the payment: bit n for the member with index n
    /// @param signatures in any order
    /// @return domainBitmap the signers' trust domains: bit n for domain n
    function rulingQuorum(
        address rail,
        bytes32 payment,
        bool refund,
        uint216 excluded,
        bytes[] calldata signatures
    ) external view returns (uint256 domainBitmap);

    /// @notice Checks the signatures of a ruling on a device's compromise, for the calling registry.
    /// Reverts by name where too few count.
    /// @dev EIP-712 "Compromise(address registry,bytes32 device,uint40 since,uint256 number)".
    /// @param device keccak256 of the device's name
    /// @param since from when on its signatures are worth nothing, Unix seconds; 0: it is undone
    /// @param number makes each ruling count once
    /// @param signatures in any order
    /// @return domainBitmap the signers' trust domains: bit n for domain n
    function compromiseQuorum(
        bytes32 device,
        uint40 since,
        uint256 number,
        bytes[] calldata signatures
    ) external view returns (uint256 domainBitmap);

    /// @notice Bars for ever a member that signed two different claims of one agreement and
    /// sequence for one rail. Anyone may present the two.
    /// @param rail the rail that both were signed for
    /// @param a one testimony
    /// @param b another, by the same member
    function reportEquivocation(address rail, Testimony calldata a, Testimony calldata b) external;

    /// @notice Bars for ever a member that signed both rulings on one payment. Anyone may present
    /// the two.
    /// @param rail the rail of the payment
    /// @param payment id of the payment
    /// @param refund its signature of the ruling that refunds the payment
    /// @param stand its signature of the ruling that lets the payment stand
    function reportRulings(
        address rail,
        bytes32 payment,
        bytes calldata refund,
        bytes calldata stand
    ) external;

    /// @notice Names the contract that proves faults of a rail's payments: it refunds them, and bars
    /// who attested them. Only the steward, with the delay: its code decides then.
    /// @param rail the rail
    /// @param challenges an IChallenges of that rail
    function setChallenges(address rail, address challenges) external;

    /// @notice Ends challenges of a rail's payments. Only a guardian, at once.
    /// @param rail the rail
    function stopChallenges(address rail) external;

    /// @notice Bars members for ever, for a fault that was proved. Only the rail's IChallenges.
    /// Warning: where a whole quorum attested the fault, nothing settles until the steward has seated
    /// others: those who are left would settle what a proven liar signs.
    /// @param rail the rail of the payment
    /// @param payment id of the payment
    /// @param signers bitmap over the members' indexes
    function barAttesters(address rail, bytes32 payment, uint216 signers) external;

    /// @notice Says which contract proves faults of a rail's payments.
    /// @param rail the rail
    /// @return challenges its IChallenges; zero: none
    function challengesOf(address rail) external view returns (address challenges);

    /// @notice Says how many signatures a batch needs now.
    /// @return need the number; unreachable while no member is seated
    function quorum() external view returns (uint256 need);

    /// @notice Says how many members are seated, barred and silenced ones included.
    /// @return count the number of seats
    function seatedCount() external view returns (uint256 count);

    /// @notice Says from how many trust domains signers must come.
    /// @return need the least number
    function minDomains() external view returns (uint256 need);

    /// @notice Says how many members were ever seated: the next index.
    /// @return count the number of indexes
    function memberCount() external view returns (uint256 count);

    /// @notice Names the member with an index.
    /// @param index from 0, below `memberCount`
    /// @return member address of the member's key
    function memberAt(uint256 index) external view returns (address member);

    /// @notice Reads a member.
    /// @param member address of the member's key
    /// @return domain its trust domain; 0: it was never seated
    /// @return seated whether it has a seat now
    /// @return barred whether it is barred for ever
    /// @return silenced whether the guardian silenced it
    /// @return index its bit among `signers`
    function memberOf(address member)
        external
        view
        returns (uint8 domain, bool seated, bool barred, bool silenced, uint8 index);
}
