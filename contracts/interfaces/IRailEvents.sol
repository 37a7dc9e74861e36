// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The events of the payment rail. Amounts are token minor units, times Unix seconds.
interface IRailEvents {
    /// @notice An agreement began. It carries all that an oracle needs, so that an oracle can read
    /// agreements from logs alone.
    /// @param agreement id of the agreement
    /// @param payer who pays
    /// @param payee who is paid; zero where the product names each claim's payee
    /// @param device the device whose records are evidence
    /// @param product the product that prices claims
    /// @param expiry the last second in which claims are taken
    /// @param firstCounter device counters at or below it are before the agreement
    /// @param terms the product's own terms, ABI-encoded
    event AgreementOpened(
        bytes32 indexed agreement,
        address indexed payer,
        address indexed payee,
        bytes32 device,
        address product,
        uint32 expiry,
        uint40 firstCounter,
        bytes terms
    );

    /// @notice A party closed an agreement.
    /// @param agreement id of the agreement
    /// @param expiry the last second in which claims are still taken
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
    /// @param settlement number of the settlement, from 1
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
    event PayoutAccountSet(address indexed payee, bytes32 account);

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
    event DisputeEnded(bytes32 indexed payment, bool refunded, uint48 amount);

    /// @notice The steward allowed a product, or no longer allows it.
    /// @param product address of the product
    /// @param allowed whether new agreements may use it
    event ProductAllowed(address indexed product, bool allowed);

    /// @notice `open` and `settle` were stopped, or run again.
    /// @param paused whether they are stopped
    event PauseSet(bool paused);
}
