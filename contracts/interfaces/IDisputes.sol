// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "./IPaymentRail.sol";

/// @title Disputes about settled payments: a bond, a deadline, and five ways to end.
/// @notice The rail keeps the frozen payment, this contract keeps the bonds and decides. A dispute
/// costs the agreement's bond, or the disputed amount where that is less. It ends
///   conceded by the payee, refunded by a ruling, or a fault of its record proved (IChallenges): the
///   payment goes back, the bond returns;
///   retracted within the dispute window: the payment stands, the bond returns;
///   retracted later, ruled against, or expired: the payment stands, the bond is the payee's.
/// Times are Unix seconds; pauses of the rail move the deadline by their length.
/// Warning: an honest payer whose dispute nobody rules on in time loses the bond: a freeze must
/// cost something, and that oracles rule in time is the committee's duty.
interface IDisputes {
    /// @notice A dispute began.
    /// @param payment id of the payment
    /// @param challenger who disputes
    /// @param bond token minor units that it left here
    /// @param deadline after it anyone may end the dispute in the payee's favour
    event DisputeOpened(
        bytes32 indexed payment, address indexed challenger, uint48 bond, uint40 deadline
    );

    /// @notice A dispute's bond left.
    /// @param payment id of the payment
    /// @param to the challenger, or the payee
    /// @param amount token minor units
    /// @param returned whether it went back to the challenger
    event BondPaid(bytes32 indexed payment, address indexed to, uint48 amount, bool returned);

    /// @notice The caller is not a party that may do this.
    /// @param caller who called
    error NotParty(address caller);

    /// @notice Only the IChallenges that the committee names for the rail may call.
    /// @param caller who called
    error NotChallenges(address caller);

    /// @notice The payment is not under dispute.
    /// @param payment id of the payment
    error NotDisputed(bytes32 payment);

    /// @notice The dispute can still be ruled on.
    /// @param deadline Unix seconds that must be over
    error NotExpired(uint256 deadline);

    /// @notice No signer of the ruling is of the agreement's required trust domain.
    /// @param domain that is required
    error DomainMissing(uint8 domain);

    /// @notice Disputes one payment within its dispute window, once per payment. Only the payer, who
    /// pays the bond (approve this contract before), or a warden where the agreement's device is
    /// declared compromised, who pays none.
    /// @param agreement id of the agreement
    /// @param sequence the claim's number within the agreement
    /// @param outcome the payment's leaf of the settlement's Merkle tree
    /// @param root root of that tree
    /// @param proof hashes from the leaf to the root
    function dispute(
        bytes32 agreement,
        uint32 sequence,
        IPaymentRail.Outcome calldata outcome,
        bytes32 root,
        bytes32[] calldata proof
    ) external;

    /// @notice Gives a disputed payment back to the agreement's escrow. Only its payee.
    /// @param payment id of the payment
    function concede(bytes32 payment) external;

    /// @notice Ends a dispute in the payee's favour. Only who began it.
    /// @param payment id of the payment
    function retract(bytes32 payment) external;

    /// @notice Ends a dispute as the committee's quorum decided. Anyone may call. The agreement's
    /// required domain must be among the signers. Signatures of the oracles that attested the
    /// payment do not count as long as the others could be a quorum.
    /// @param payment id of the payment
    /// @param refund true: back to the agreement's escrow; false: to the payee
    /// @param signatures of oracles over the ruling, in any order, one or several to an element
    function rule(bytes32 payment, bool refund, bytes[] calldata signatures) external;

    /// @notice Ends a dispute whose deadline is over in the payee's favour. Anyone may call.
    /// @param payment id of the payment
    function expire(bytes32 payment) external;

    /// @notice Refunds a payment that a fault was proved of: at once, or by ending the dispute that is
    /// open, whose bond returns. Only the
    /// IChallenges that the committee names for the rail.
    /// @param agreement id of the agreement
    /// @param sequence the claim's number within the agreement
    /// @param outcome the payment's leaf of the settlement's Merkle tree
    /// @param root root of that tree
    /// @param proof hashes from the leaf to the root
    function uphold(
        bytes32 agreement,
        uint32 sequence,
        IPaymentRail.Outcome calldata outcome,
        bytes32 root,
        bytes32[] calldata proof
    ) external;

    /// @notice Reads an open dispute; all zero where there is none.
    /// @param payment id of the payment
    /// @return challenger who disputes
    /// @return bond token minor units
    /// @return deadline Unix seconds, pauses so far included
    /// @return requiredDomain trust domain that a ruling needs; 0: none
    /// @return signers the members that attested the payment: bit n for the member with index n
    function disputeOf(bytes32 payment)
        external
        view
        returns (
            address challenger,
            uint48 bond,
            uint256 deadline,
            uint8 requiredDomain,
            uint216 signers
        );
}
