// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Memory that is freed within a call: each turn of a loop uses the same memory again.
/// @notice Solidity never frees memory, and the price of memory rises with its square; a batch of
/// some hundred claims would pay more for what it no longer needs than for its storage.
/// Warning: what was allocated between `mark` and `free` must not be used after `free`.
library Scratch {
    /// @dev Where free memory begins now.
    function mark() internal pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := mload(0x40)
        }
    }

    /// @dev Frees all memory from `at` on.
    function free(uint256 at) internal pure {
        assembly ("memory-safe") {
            mstore(0x40, at)
        }
    }
}
