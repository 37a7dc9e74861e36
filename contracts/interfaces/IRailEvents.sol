// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The events of the payment rail. Amounts are token minor units, times Unix seconds.
interface IRailEvents {
    /// The payer's consent (EIP-712 "Mandate", version 2); its struct hash is the agreement id.
    struct Mandate {
        address payer;
        address payee; // zero where the product names each claim's payee (Traits.ANY_PAYEE)
        bytes32 device; // keccak256 of the device's name
        address product;
        uint48 cap; // token minor units per period, corrections left out
        uint16 periodDays; // 0: the cap holds for the whole life
        uint32 window; // dispute window, seconds
        uint32 start; // facts before it are refused; 0: the opening
        uint32 expiry; // facts after it are refused
        uint40 firstCounter; // device counters at or below it are before the agreement
        uint8 requiredDomain; // trust domain that must be among the signers; 0: none
        uint48 bond; // a dispute costs it, or the disputed amount where that is less
        uint64 schedule; // when it settles: see libraries/Schedules.sol; 0: at once
        bytes32 fleet; // zero: the agreement is about one device
        bytes32 cites; // keccak256 of the sorted ids of devices that the product may cite; zero: none
        bytes32 salt;
        bytes terms; // the product's own
    }

    /// @notice An agreement began. It carries all that an oracle needs, so that an oracle can read
    /// agreements from logs alone.
    /// @param agreement id of the agreement
    /// @param payer who pays
    /// @param payee who is paid; zero where the product names each claim's payee
    /// @param start the first second whose facts are taken
    /// @param grace seconds after the expiry in which claims are still taken
    /// @param mandate what the payer signed
    event AgreementOpened(
        bytes32 indexed agreement,
        address indexed payer,
        address indexed payee,
        uint32 start,
        uint32 grace,
        Mandate mandate
    );

    /// @notice Payer and payee passed over a claim: it counts as settled, for nothing.
    /// @param agreement id of the agreement
    /// @param sequence of the claim
    /// @param lastCounter device counters up to it are passed over
    event ClaimSkipped(bytes32 indexed agreement, uint32 sequence, uint40 lastCounter);

    /// @notice A party closed an agreement.
    /// @param agreement id of the agreement
    /// @param expiry the last second whose facts are taken
    event AgreementClosed(bytes32 indexed agreement, uint32 expiry);

    /// @notice Tokens came into an agreement's escrow.
    /// @param agreement id of the agreement
    /// @param amount what came in
    event EscrowFunded(bytes32 indexed agreement, uint256 amount);

    /// @notice An agreement ended, and its escrow went back to the payer.
    /// @param agreement id of the agreement
    /// @param payer who got the escrow
    /// @param amount what went back, perhaps nothing
    event EscrowReclaimed(bytes32 indexed agreement, address indexed payer, uint256 amount);

    /// @notice A batch of claims was settled.
    /// @param settlement number of the settlement, from 1; 0: all its claims were refused
    /// @param root root of the outcomes' Merkle tree
    /// @param product the product that priced the claims
    /// @param settledAt time of the settlement
    /// @param outcomes 7 bytes a claim, in order: int48 amount (two's complement), uint8 refusal
    event Settled(
        uint256 indexed settlement,
        bytes32 indexed root,
        address indexed product,
        uint32 settledAt,
        bytes outcomes
    );

    /// @notice A payee's debt, or a part of it, went back into the agreement's escrow.
    /// @param agreement id of the agreement that was owed
    /// @param payee who owed
    /// @param amount what was paid of the debt
    event DebtPaid(bytes32 indexed agreement, address indexed payee, uint256 amount);

    /// @notice A debt, or a part of it, no longer stands: the payment was refunded as well.
    /// @param agreement id of the agreement that was owed
    /// @param payee who owed
    /// @param amount what is cancelled
    event DebtCancelled(bytes32 indexed agreement, address indexed payee, uint256 amount);

    /// @notice The debts named by the `DebtPaid` before it were paid out of the payee's own tokens;
    /// those before a `Released` out of what it released.
    /// @param payee who paid
    /// @param amount the sum of the debts paid
    event Repaid(address indexed payee, uint256 amount);

    /// @notice Matured money left a payee's pending money.
    /// @param payee whose money it is
    /// @param amount what left, debts that it paid included
    /// @param releaseTimes the release times that were asked for
    event Released(address indexed payee, uint256 amount, uint32[] releaseTimes);

    /// @notice A payee named the bank account of its payouts.
    /// @param payee who named it
    /// @param account hash of the bank account; zero: none
    /// @param minimum strangers cause no order below it, token minor units
    event PayoutAccountSet(address indexed payee, bytes32 account, uint48 minimum);

    /// @notice A payee took withdrawable tokens out.
    /// @param payee whose tokens they were
    /// @param to who got them
    /// @param amount how many
    event Withdrawn(address indexed payee, address to, uint256 amount);

    /// @notice A payment was frozen within its dispute window.
    /// @param payment id of the payment
    /// @param payer payer of the agreement
    /// @param payee who was to be paid
    /// @param amount what is frozen
    event PaymentDisputed(
        bytes32 indexed payment, address indexed payer, address indexed payee, uint48 amount
    );

    /// @notice A dispute ended.
    /// @param payment id of the payment
    /// @param refunded true: back to the agreement's escrow; false: to the payee
    /// @param amount what was frozen
    /// @param kept the part of a refund that is the payee's after all, since a correction that is
    /// paid gave it back before
    event DisputeEnded(bytes32 indexed payment, bool refunded, uint48 amount, uint48 kept);

    /// @notice A product was allowed for new agreements, or no longer is.
    /// @param product address of the product
    /// @param allowed whether new agreements may use it
    event ProductAllowed(address indexed product, bool allowed);

    /// @notice `open` and `settle` are stopped until a time, or run again from then on.
    /// @param until when they run again
    event PauseSet(uint32 until);

    /// @notice Tokens that belonged to nobody left the rail.
    /// @param to who got them
    /// @param amount how many
    event Swept(address indexed to, uint256 amount);
}
