// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceWatcher} from "./IDeviceWatcher.sol";
import {IRailErrors} from "./IRailErrors.sol";
import {IRailEvents} from "./IRailEvents.sol";

/// @title The payment rail: escrow, agreements, settlement, debts and payouts.
/// @notice `settle` is open to any caller: the trust is in the oracles' signatures, not in the
/// sender. Amounts are token minor units, times Unix seconds.
/// An agreement takes facts up to its expiry, and claims about them for its grace longer: what was
/// signed before the end can settle before the escrow goes back. A pause makes both longer.
/// Warning: the rail does not check device signatures of metered evidence; the quorum does.
/// Warning: a hostile quorum can attest false facts; caps, escrow and product checks bound the
/// loss.
/// Warning: a debt is not a refund: it waits for the payee's next money or `repay`, and a payee
/// that never earns again never pays it.
interface IPaymentRail is IRailEvents, IRailErrors, IDeviceWatcher {
    /// What the quorum signed for one agreement (EIP-712 "Claim").
    struct Claim {
        bytes32 agreement;
        uint32 sequence;
        uint40 firstCounter;
        uint40 lastCounter;
        bytes32 evidence; // Merkle root of the evidence hashes
        bytes facts;
    }

    /// What agreements of a product may have in common. A settlement names it once for all of them.
    struct Group {
        address payee; // zero where the product names each claim's payee
        uint48 cap;
        uint16 periodDays;
        uint32 window;
        uint8 requiredDomain;
        uint256 shared; // what the product answered when they were opened
    }

    /// Claims of one product, in strictly ascending order of agreements.
    struct Batch {
        address product;
        Group[] groups;
        bytes claims; // see libraries/ClaimBytes.sol
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
        int48 amount; // below zero: a debt of the payee, at most what the agreement kept charged
        uint8 refusal;
        uint32 releaseAt;
    }

    /// @notice Allows a product for new agreements. Only through the access manager, after its
    /// delay.
    /// Warning: a product that reverts blocks every batch of its own claims; that is why products
    /// are listed. Escrow, pending and withdrawable money never depend on a product.
    /// @param product address of the product; it must have code
    function allowProduct(address product) external;

    /// @notice Takes a product off the list for new agreements, at once. Only a guardian.
    /// Warning: its agreements still settle until they end.
    /// @param product address of a listed product
    function disallowProduct(address product) external;

    /// @notice Stops `open` and `settle`, nothing else, for at most MAX_PAUSE. Only a guardian, and
    /// not before COOL_DOWN has passed since the last pause. Ends of agreements and deadlines of
    /// disputes move by the pause's length.
    function pause() external;

    /// @notice Ends a pause early. Only through the access manager, so that one stolen key cannot
    /// play both parts.
    function unpause() external;

    /// @notice Sends tokens that belong to nobody, such as plain transfers to the rail. Only
    /// through the access manager, after its delay.
    /// @param to who gets them
    function sweep(address to) external;

    /// @notice Opens the agreement that the payer signed and the device's owner consents to, as
    /// IConsents says. Anyone may call.
    /// @param mandate what the payer agrees to
    /// @param signature the payer's over the mandate: of an EOA, or of a contract by ERC-1271
    /// @param consent the device owner's signature; empty where the owner is payer or caller
    /// @return agreement id of the agreement
    function open(Mandate calldata mandate, bytes calldata signature, bytes calldata consent)
        external
        returns (bytes32 agreement);

    /// @notice Ends an agreement now: later facts are refused, earlier ones settle for the grace.
    /// Only the payer or the device's owner.
    /// @param agreement id of a live agreement
    function close(bytes32 agreement) external;

    /// @notice Passes over a claim that can never settle, as a settled claim of nothing. Anyone may
    /// call with both signatures.
    /// @dev IConsents says what both sign.
    /// @param agreement id of the agreement
    /// @param sequence the claim's: one above the last
    /// @param lastCounter device counters up to it are passed over; at or above the last claimed
    /// @param payerSignature the payer's
    /// @param payeeSignature the payee's; of the device's owner where claims name their payees
    function skip(
        bytes32 agreement,
        uint32 sequence,
        uint40 lastCounter,
        bytes calldata payerSignature,
        bytes calldata payeeSignature
    ) external;

    /// @notice After expiry and grace, returns the escrow to the payer, ends the agreement and
    /// frees the device. Anyone may call, again as well when a dispute or a debt has put money back.
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
    /// name, and neither blocks its neighbours nor uses up its sequence. A batch of refused claims
    /// alone is reported with settlement number 0 and stored nowhere.
    /// @param batch the claims, of one product
    /// @param signatures of oracles over the batch, in any order; ascending signers cost least. An
    /// element holds one signature, or several one after the other
    /// @return root root of the outcomes' Merkle tree
    function settle(Batch calldata batch, bytes[] calldata signatures)
        external
        returns (bytes32 root);

    /// @notice Names the bank account that the caller's releases are paid to.
    /// @param account hash of a bank account, which the bank knows; zero: none
    /// @param minimum strangers cause no order below it, token minor units
    function setPayoutAccount(bytes32 account, uint48 minimum) external;

    /// @notice Releases what has matured. The payee's debts are paid first; what they need stays in
    /// the rail, also where one call cannot pay all of them. With a payout account the whole cents
    /// of the rest are redeemed to the bank; without one all of it becomes withdrawable. Anyone may
    /// call; of others than the payee only the first call of a day (UTC) makes an order, and none
    /// below the payee's minimum.
    /// @param payee whose money is released
    /// @param releaseTimes release times that are over, Unix seconds
    function release(address payee, uint32[] calldata releaseTimes) external;

    /// @notice Pays the caller's debts, MAX_DEBTS agreements at most, out of its own tokens. Never
    /// paused.
    /// @param amount the most to pay; what is owed, if that is less
    function repay(uint256 amount) external;

    /// @notice Takes the caller's withdrawable tokens out, less what it owes. Never paused.
    /// @param to who gets them
    /// @param amount token minor units
    function withdraw(address to, uint256 amount) external;

    /// @notice Freezes one payment within its dispute window, once per payment. Only IDisputes.
    /// @param agreement id of the agreement
    /// @param sequence the claim's number within the agreement
    /// @param outcome the payment's leaf of the settlement's Merkle tree
    /// @param root root of that tree
    /// @param proof hashes from the leaf to the root
    function freeze(
        bytes32 agreement,
        uint32 sequence,
        Outcome calldata outcome,
        bytes32 root,
        bytes32[] calldata proof
    ) external;

    /// @notice Ends a freeze. Only IDisputes. A refund never gives back more than the agreement
    /// charged: where the payment was corrected before, its open debt is cancelled, and what was
    /// paid of the debt stays the payee's.
    /// @param payment id of the payment
    /// @param refund true: back to the agreement's escrow; false: to the payee
    function unfreeze(bytes32 payment, bool refund) external;

    /// @notice Reads what the product of an agreement keeps in the rail.
    /// @param agreement id of the agreement
    /// @return note the product's; 0: nothing
    /// @return steady whether its device was active all the time since the start
    function noteOf(bytes32 agreement) external view returns (uint80 note, bool steady);

    /// @notice Reads what changes with each settlement. All zero for an unknown agreement.
    /// @param agreement id of the agreement
    /// @return sequence number of the last applied claim
    /// @return lastCounter the highest device counter that was claimed
    /// @return escrow what is left to charge from
    /// @return spent what was charged in the period of the last claim
    /// @return expiry the last second whose facts are taken
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

    /// @notice Reads what is known of an agreement's end and of what it gave back.
    /// @param agreement id of the agreement
    /// @return endsAt the last second in which claims are taken, pauses included
    /// @return grace seconds from the expiry to it, pauses left out
    /// @return bond the most that a dispute costs, token minor units
    /// @return charged what was ever charged, token minor units
    /// @return givenBack refunds and corrections, paid or owed; never above `charged`
    function agreementEnd(bytes32 agreement)
        external
        view
        returns (uint256 endsAt, uint32 grace, uint48 bond, uint256 charged, uint256 givenBack);

    /// @notice Says what a payee owes to agreements: the sum of its open debts.
    /// @param payee who owes
    /// @return amount token minor units
    function owed(address payee) external view returns (uint256 amount);

    /// @notice Says what a payee owes to one agreement.
    /// @param payee who owes
    /// @param agreement id of the agreement
    /// @return amount token minor units
    function owedTo(address payee, bytes32 agreement) external view returns (uint256 amount);

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

    /// @notice Says how strangers may cause a payee's orders.
    /// @param payee who is paid
    /// @return minimum strangers cause no order below it, token minor units
    /// @return lastDay the day (Unix seconds / 86,400) of the last order that a stranger caused
    function payoutLimits(address payee) external view returns (uint48 minimum, uint32 lastDay);

    /// @notice Says when outcomes were settled, and who attested them.
    /// @param root root of the outcomes' Merkle tree
    /// @return time Unix seconds; 0: no such settlement
    /// @return signers the committee's members that counted: bit n for the member with index n
    function settledAt(bytes32 root) external view returns (uint40 time, uint216 signers);

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

    /// @notice Says whether a guardian stopped `open` and `settle`.
    /// @return stopped whether they are stopped
    function paused() external view returns (bool stopped);

    /// @notice Reads the last pause.
    /// @return until when it ends, or ended; 0: there was none
    /// @return total the length of all pauses so far, seconds; the present one counts in full
    function pauses() external view returns (uint32 until, uint32 total);

    /// @notice Says where disputes are held.
    /// @return contract_ the IDisputes of this rail
    function disputes() external view returns (address contract_);

    /// @notice Says who checks what parties and owners sign.
    /// @return contract_ the IConsents of this rail
    function consents() external view returns (address contract_);
}
