// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Memory given back within a call: what a loop's turn needed is free for its next turn.
/// @notice Solidity never frees memory, and the price of memory rises with its square; a batch of
/// some hundred claims would pay more for what it no longer needs than for its storage.
/// Warning: whatever was allocated between `mark` and `free` must not be used after `free`.
library Scratch {
    function mark() internal pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := mload(0x40)
        }
    }

    function free(uint256 at) internal pure {
        assembly ("memory-safe") {
            mstore(0x40, at)
        }
    }
}
