// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a delivery's contract keeps of an agreement.
library DeliveryState {
    /// Sums over the statements that stand, and what was charged for them: two slots.
    struct State {
        int56 received;
        int56 accepted;
        int64 lateness; // units x basis points
        uint48 charged;
        uint32 start; // what was signed before it is refused
        int32 pickups;
        int32 thermometers; // statements with a temperature
        int32 accelerometers; // statements with a shock reading
        int32 cold;
        int32 hot;
        int32 shocks;
        uint48 refunded; // by disputes, and not given back by a withdrawal since
    }
}
