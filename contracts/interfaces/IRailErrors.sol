// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The errors of the payment rail: why a call changed nothing.
interface IRailErrors {
    /// @notice No such agreement was opened.
    /// @param agreement id that was asked for
    error UnknownAgreement(bytes32 agreement);

    /// @notice This mandate was opened before.
    /// @param agreement id of the agreement
    error AgreementExists(bytes32 agreement);

    /// @notice The agreement is past its expiry or closed.
    /// @param agreement id of the agreement
    error AgreementIsNotLive(bytes32 agreement);

    /// @notice The device still serves another agreement.
    /// @param device the device of the mandate
    /// @param agreement id of the agreement that it serves
    error DeviceHasAgreement(bytes32 device, bytes32 agreement);

    /// @notice The registry does not list the device as active.
    /// @param device the device of the mandate
    error DeviceNotActive(bytes32 device);

    /// @notice The steward did not allow this product, or it has no code.
    /// @param product address of the product
    error ProductNotAllowed(address product);

    /// @notice The product priced above the limit, or named a payee it may not name, or did not
    /// answer every quote.
    /// @param product address of the product
    error ProductAnswerInvalid(address product);

    /// @notice The mandate names no payee, and its product names none either.
    error PayeeMissing();

    /// @notice The mandate names a payee, but its product names each claim's payee.
    /// @param payee the payee of the mandate
    error PayeeUnexpected(address payee);

    /// @notice The batch holds no claim.
    error BatchEmpty();

    /// @notice The batch holds too many claims.
    /// @param claims how many it holds
    /// @param limit the most that a batch may hold
    error BatchTooLarge(uint256 claims, uint256 limit);

    /// @notice The caller is not a party that may do this.
    /// @param caller who called
    error NotParty(address caller);

    /// @notice It is too early.
    /// @param due Unix seconds: the expiry that must be over, or the release time
    error NotYetDue(uint32 due);

    /// @notice There is nothing to release, withdraw, repay or reclaim.
    /// @param payee whose money was asked for
    error NothingDue(address payee);

    /// @notice The amount is zero or does not fit the escrow.
    /// @param amount token minor units
    error AmountTooLarge(uint256 amount);

    /// @notice There is less than is needed.
    /// @param have token minor units that are there
    /// @param need token minor units that are needed
    error BalanceShort(uint256 have, uint256 need);

    /// @notice The outcome is not part of a settlement with this root.
    /// @param root root of the outcomes' Merkle tree
    error ProofInvalid(bytes32 root);

    /// @notice The payment's dispute window is over.
    /// @param releaseAt Unix seconds at which it ended
    error WindowOver(uint32 releaseAt);

    /// @notice The outcome is another payment's, charges nothing, or was disputed before.
    /// @param payment id of the payment
    error NotDisputable(bytes32 payment);

    /// @notice The payment is not frozen.
    /// @param payment id of the payment
    error NotDisputed(bytes32 payment);

    /// @notice Only a holder of this role may call; libraries/Roles.sol numbers them.
    /// @param caller who called
    /// @param role the role
    error NotInRole(address caller, uint64 role);

    /// @notice Only the rail's IDisputes may call.
    /// @param caller who called
    error NotDisputes(address caller);

    /// @notice Only the token may call.
    /// @param caller who called
    error NotToken(address caller);

    /// @notice A guardian stopped `open` and `settle`.
    error Paused();

    /// @notice It is too early for another pause.
    /// @param due Unix seconds from which on the rail can be paused
    error PausedLately(uint256 due);

    /// @notice The rail, its parts and its token cannot be payees.
    /// @param payee the payee of the mandate
    error PayeeInvalid(address payee);

    /// @notice The start lies within the device's agreement before.
    /// @param start Unix seconds in the mandate
    error StartOutOfRange(uint32 start);

    /// @notice The claim cannot be skipped: it is not the next, or its counters fall.
    /// @param agreement id of the agreement
    /// @param sequence of the claim
    error SkipInvalid(bytes32 agreement, uint32 sequence);

    /// @notice Device counters have at most 36 bits, and the one that names the fiscal stream.
    /// @param counter the first counter of the mandate
    error CounterTooLarge(uint40 counter);

    /// @notice Only the registry may call.
    /// @param caller who called
    error NotRegistry(address caller);

    /// @notice The claims' bytes are cut off, or something is left over.
    error BatchMalformed();

    /// @notice A claim stands under a group that its agreement does not belong to, or under none.
    /// @param agreement id of the claim's agreement
    /// @param group number of the group in the call
    error GroupInvalid(bytes32 agreement, uint256 group);
}
