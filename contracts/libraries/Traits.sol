// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a product may ask of the rail. No traits: counters rise from claim to claim, a
/// device has one live agreement, and the mandate names the payee.
library Traits {
    /// Claims may cover counters at or below the last one; the product itself guards replays.
    uint8 internal constant LATE = 1;
    /// A device may serve several live agreements at once, which differ in what they are about.
    uint8 internal constant SHARED = 2;
    /// The mandate names no payee: each claim's payee is the product's answer.
    uint8 internal constant ANY_PAYEE = 4;
    /// The product believes the rail that a steady device is active: quotes do not name it then.
    uint8 internal constant STEADY = 8;
}
