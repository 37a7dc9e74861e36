// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "./IPaymentRail.sol";

/// @title Who attests, from which trust domain, and how many are enough.
/// @notice n seated members tolerate f = (n - 1) / 3 liars; n - f signatures are a quorum (2f + 1
/// where
/// n = 3f + 1: 3 of 4). Signers must come from at least `minDomains` trust domains.
/// Warning: a barred member still counts in n. Barring lowers nobody's threshold: it only silences
/// the barred, until the steward unseats it.
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

    event MemberSeated(address indexed member, uint8 domain, uint256 seated);
    event MemberUnseated(address indexed member, uint256 seated);
    event MemberBarred(address indexed member, bytes32 indexed agreement, uint32 sequence);

    error NotSteward(address caller);
    error NotAMember(address signer);
    error Barred(address signer);
    error AlreadySeated(address member);
    error DomainInvalid(address member);
    error MembersMismatch(uint256 members, uint256 domains);
    error SignersUnsorted(address previous, address signer);
    error QuorumMissing(uint256 have, uint256 need);
    error DomainsMissing(uint256 have, uint256 need);
    error NotEquivocation();

    /// Seats a member under a trust domain (1 to 255). Only the steward. The barred never come
    /// back.
    function seat(address member, uint8 domain) external;

    /// Takes a seat away. Only the steward.
    function unseat(address member) external;

    /// Checks a batch's signatures, in ascending signer order, for the calling rail. Returns the
    /// signers' trust domains as a bitmap. Reverts, by name, where they are not enough.
    function requireQuorum(
        address product,
        bytes32[] calldata claimHashes,
        bytes[] calldata signatures
    ) external view returns (uint256 domainBitmap);

    /// The same for a dispute's ruling: EIP-712 "Ruling(address rail,bytes32 payment,bool refund)".
    function rulingQuorum(bytes32 payment, bool refund, bytes[] calldata signatures)
        external
        view
        returns (uint256 domainBitmap);

    /// Bars for ever a member that signed two different claims of one agreement and sequence for
    /// one
    /// rail. Anyone may present the two.
    function reportEquivocation(address rail, Testimony calldata a, Testimony calldata b) external;

    /// How many signatures a batch needs now.
    function quorum() external view returns (uint256);

    function seatedCount() external view returns (uint256);
    function minDomains() external view returns (uint256);
    function memberOf(address member)
        external
        view
        returns (uint8 domain, bool seated, bool barred);
}
