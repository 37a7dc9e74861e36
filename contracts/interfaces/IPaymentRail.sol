// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRailErrors} from "./IRailErrors.sol";
import {IRailEvents} from "./IRailEvents.sol";

/// @title The payment rail: escrow, agreements, settlement, disputes, debts and payouts.
/// @notice `settle` is open to any caller: the trust is in the oracles' signatures, not in the
/// sender. Amounts are token minor units, times Unix seconds.
/// Warning: the rail does not check device signatures of metered evidence; the quorum does.
/// Warning: a hostile quorum can attest false facts; caps, escrow and product checks bound the
/// loss.
/// Warning: anyone who signs a mandate may bind a free device; its owner can `close` that
/// agreement.
/// Warning: tokens sent to the rail by a plain transfer are donations: they belong to no agreement.
/// Warning: a debt is not a refund: it waits for the payee's next money or `repay`, and a payee
/// that never earns again never pays it. The rail cannot check that a product gives back no more
/// than it charged, nor that a payment refunded by a dispute does not become a debt as well.
interface IPaymentRail is IRailEvents, IRailErrors {
    /// The payer's consent (EIP-712 "Mandate"); its struct hash is the agreement id.
    struct Mandate {
        address payer;
        address payee; // zero where the product names each claim's payee (Traits.ANY_PAYEE)
        bytes32 device; // keccak256 of the device's name
        address product;
        uint48 cap; // token minor units per period
        uint16 periodDays; // 0: the cap holds for the whole life
        uint32 window; // dispute window, seconds
        uint32 expiry; // Unix seconds; claims after it are refused
        uint40 firstCounter; // device counters at or below it are before the agreement
        uint8 requiredDomain; // trust domain that must be among the signers; 0: none
        bytes32 salt;
        bytes terms; // the product's own
    }

    /// What the quorum signed for one agreement (EIP-712 "Claim").
    struct Claim {
        bytes32 agreement;
        uint32 sequence;
        uint40 firstCounter;
        uint40 lastCounter;
        bytes32 evidence; // Merkle root of the evidence hashes
        bytes facts;
    }

    /// Claims of one product in strictly ascending agreement order.
    struct Batch {
        address product;
        Claim[] claims;
    }

    /// Why a claim was refused. Below 100 the rail refused it; 100 + n is the product's refusal n.
    enum Refusal {
        None,
        UnknownAgreement,
        WrongProduct,
        NotLive,
        Expired,
        SequenceUnexpected,
        CountersReplayed,
        CountersMalformed,
        DomainMissing,
        CapExceeded,
        EscrowShort,
        Unsorted
    }

    enum Status {
        None,
        Live,
        Closed
    }

    /// One leaf of a settlement's Merkle tree, double-hashed: keccak(keccak(abi.encode(leaf))).
    /// A refused claim's leaf has payee, amount and releaseAt zero; a debt's releaseAt is zero.
    struct Outcome {
        bytes32 payment; // keccak256(abi.encode(agreement, uint256(sequence)))
        bytes32 claim; // EIP-712 struct hash of the claim
        address payee;
        int48 amount; // below zero: a debt of the payee to the agreement
        uint8 refusal;
        uint32 releaseAt;
    }

    /// @notice Allows a product for new agreements, or no longer. Only the steward.
    /// Warning: agreements of a product that is no longer allowed still settle until they end.
    /// Warning: a product that reverts blocks every batch of its own claims; that is why the
    /// steward lists them. Escrow, pending and withdrawable money never depend on a product.
    /// @param product address of the product; it must have code
    /// @param allowed whether new agreements may use it
    function allowProduct(address product, bool allowed) external;

    /// @notice Stops `open` and `settle`, nothing else. Only the guardian.
    function pause() external;

    /// @notice Lets `open` and `settle` run again. Only the steward, so that one stolen key cannot
    /// play both parts.
    function unpause() external;

    /// @notice Opens the agreement that the payer signed. Anyone may call.
    /// @param mandate what the payer agrees to
    /// @param signature the payer's over the mandate: of an EOA, or of a contract by ERC-1271
    /// @return agreement id of the agreement
    function open(Mandate calldata mandate, bytes calldata signature)
        external
        returns (bytes32 agreement);

    /// @notice Brings the expiry forward to one dispute window from now. Only the payer or the
    /// device's owner.
    /// @param agreement id of a live agreement
    function close(bytes32 agreement) external;

    /// @notice After the expiry, returns the escrow to the payer, ends the agreement and frees the
    /// device. Anyone may call, again as well when a dispute or a debt has put money back.
    /// @param agreement id of the agreement
    function reclaim(bytes32 agreement) external;

    /// @notice Pulls tokens from the caller into a live agreement's escrow.
    /// @param agreement id of the agreement
    /// @param amount token minor units, which the caller has approved
    function fund(bytes32 agreement, uint256 amount) external;

    /// @notice Books tokens that the token minted into escrow. Only the token.
    /// @dev An ended agreement takes them too: the payer reclaims them, so no bank credit is stuck.
    /// @param agreement id of the agreement
    /// @param amount token minor units that were minted to the rail
    function onMint(bytes32 agreement, uint256 amount) external;

    /// @notice Applies a batch that the quorum signed. A claim that cannot be applied is refused by
    /// name, and neither blocks its neighbours nor uses up its sequence.
    /// @param batch the claims, of one product
    /// @param signatures of oracles over the batch, in ascending signer order
    /// @return root root of the outcomes' Merkle tree
    function settle(Batch calldata batch, bytes[] calldata signatures)
        external
        returns (bytes32 root);

    /// @notice Names the bank account that the caller's releases are paid to.
    /// @param account hash of a bank account, which the bank knows; zero: none
    function setPayoutAccount(bytes32 account) external;

    /// @notice Releases what has matured. The matured money pays the payee's debts first, the
    /// oldest first. With a payout account the whole cents of the rest are redeemed to the bank and
    /// what is left stays withdrawable; without one all of it becomes withdrawable. Anyone may
    /// call.
    /// Warning: one call pays at most 32 debts; what matured beyond them goes to the payee even
    /// though more debts are open. They wait for the next release.
    /// @param payee whose money is released
    /// @param releaseTimes release times that are over, Unix seconds
    function release(address payee, uint32[] calldata releaseTimes) external;

    /// @notice Pays the caller's debts, oldest first, 32 at most, out of its own tokens. Never
    /// paused.
    /// @param amount the most to pay; what is owed, if that is less
    function repay(uint256 amount) external;

    /// @notice Takes the caller's withdrawable tokens out. Never paused.
    /// @param to who gets them
    /// @param amount token minor units
    function withdraw(address to, uint256 amount) external;

    /// @notice Freezes one payment within its dispute window, once per payment. Only the payer, or
    /// the registry's warden where the agreement's device is declared compromised.
    /// Warning: the warden may freeze any such payment, whenever its events were: who was paid for
    /// honest ones gets the money back by `retract` or `rule`.
    /// @param agreement id of the agreement
    /// @param sequence the claim's number within the agreement
    /// @param outcome the payment's leaf of the settlement's Merkle tree
    /// @param root root of that tree
    /// @param proof hashes from the leaf to the root
    function dispute(
        bytes32 agreement,
        uint32 sequence,
        Outcome calldata outcome,
        bytes32 root,
        bytes32[] calldata proof
    ) external;

    /// @notice Gives a disputed payment back to the agreement's escrow. Only its payee.
    /// Warning: the product does not learn of a refund, here or by `rule`. A later negative claim
    /// for the same payment becomes a debt as well, so who rules has to know whether the payment
    /// was or will be corrected.
    /// @param payment id of the payment
    function concede(bytes32 payment) external;

    /// @notice Ends a dispute in the payee's favour: the payment becomes its withdrawable money.
    /// Only the payer.
    /// @param payment id of the payment
    function retract(bytes32 payment) external;

    /// @notice Ends a dispute as the committee's quorum decided. Anyone may call.
    /// @param payment id of the payment
    /// @param refund true: back to the agreement's escrow; false: to the payee
    /// @param signatures of oracles over the ruling, in ascending signer order
    function rule(bytes32 payment, bool refund, bytes[] calldata signatures) external;

    /// @notice Reads what changes with each settlement. All zero for an unknown agreement.
    /// @param agreement id of the agreement
    /// @return sequence number of the last applied claim
    /// @return lastCounter the highest device counter that was claimed
    /// @return escrow what is left to charge from
    /// @return spent what was charged in the period of the last claim
    /// @return expiry the last second in which claims are taken
    /// @return status a `Status`
    function agreementState(bytes32 agreement)
        external
        view
        returns (
            uint32 sequence,
            uint40 lastCounter,
            uint48 escrow,
            uint48 spent,
            uint32 expiry,
            uint8 status
        );

    /// @notice Reads what was agreed at the opening.
    /// @param agreement id of the agreement
    /// @return payer who pays
    /// @return payee who is paid; zero where the product names each claim's payee
    /// @return device the device whose records are evidence
    /// @return product the product that prices claims
    /// @return cap the most that may be charged per period
    /// @return periodDays length of a period; 0: the cap holds for the whole life
    /// @return window dispute window in seconds
    /// @return requiredDomain trust domain that must be among the signers; 0: none
    function agreementTerms(bytes32 agreement)
        external
        view
        returns (
            address payer,
            address payee,
            bytes32 device,
            address product,
            uint48 cap,
            uint16 periodDays,
            uint32 window,
            uint8 requiredDomain
        );

    /// @notice Reads the running sums. escrow + pending + withdrawable + frozen is the rail's token
    /// balance less donations.
    /// @return escrow what agreements can still charge from
    /// @return pending what is charged and not released yet
    /// @return withdrawable what payees can take out
    /// @return frozen what is under dispute
    /// @return redeemed all that ever left to the bank through the rail
    /// @return owed the open debts of all payees, a memo that no token stands for yet
    function totals()
        external
        view
        returns (
            uint256 escrow,
            uint256 pending,
            uint256 withdrawable,
            uint256 frozen,
            uint256 redeemed,
            uint256 owed
        );

    /// @notice Says what a payee owes to agreements: the sum of its open debts.
    /// @param payee who owes
    /// @return amount token minor units
    function owed(address payee) external view returns (uint256 amount);

    /// @notice Says what is charged for a payee and becomes due at one release time.
    /// @param payee who is to be paid
    /// @param releaseAt the release time
    /// @return amount token minor units that are neither released nor frozen
    function pending(address payee, uint32 releaseAt) external view returns (uint256 amount);

    /// @notice Says what a payee can take out.
    /// @param payee whose money it is
    /// @return amount token minor units
    function withdrawable(address payee) external view returns (uint256 amount);

    /// @notice Says which bank account a payee's releases are paid to.
    /// @param payee who is paid
    /// @return account hash of the bank account; zero: none
    function payoutAccount(address payee) external view returns (bytes32 account);

    /// @notice Says when outcomes were settled.
    /// @param root root of the outcomes' Merkle tree
    /// @return time Unix seconds; 0: no such settlement
    function settledAt(bytes32 root) external view returns (uint256 time);

    /// @notice Says which agreement a device serves alone.
    /// @param device keccak256 of the device's name
    /// @return agreement id of the agreement; zero: none, or its product shares devices
    function agreementOf(bytes32 device) external view returns (bytes32 agreement);

    /// @notice Reads a dispute.
    /// @param payment id of the payment
    /// @return agreement id of the agreement; zero: the payment was never disputed
    /// @return amount what is frozen; 0: the dispute ended
    /// @return payee who was to be paid
    function frozen(bytes32 payment)
        external
        view
        returns (bytes32 agreement, uint48 amount, address payee);

    /// @notice Says how many batches were settled.
    /// @return count the number of the last settlement
    function settlements() external view returns (uint256 count);

    /// @notice Says whether the guardian stopped `open` and `settle`.
    /// @return stopped whether they are stopped
    function paused() external view returns (bool stopped);
}
