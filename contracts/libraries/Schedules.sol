// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title When an agreement settles, packed into 64 bits of the mandate.
/// @notice From the lowest bit: 16 bits records, 16 bits minutes, 24 bits cents, 8 bits flags.
/// The service settles what is complete as soon as one of the set parts is reached; all zero: at
/// once. The rail does not enforce it: it is what payer and service agree on.
library Schedules {
    uint64 internal constant SESSION_END = 1 << 56;
    uint64 internal constant DAY_CLOSE = 1 << 57;
    uint64 private constant KNOWN = (1 << 58) - 1;

    /// @dev Whether it has only known flags.
    function known(uint64 schedule) internal pure returns (bool) {
        return schedule <= KNOWN;
    }
}
