// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Lists of words in memory that loops go through: read and written without a check of bounds.
/// @notice Solidity compares each index with the length, even where a loop ends at it; in a batch
/// that costs more than what is done with the words.
/// Warning: callers keep every index below the length that the list was made with.
library Lists {
    function at(bytes32[] memory list, uint256 index) internal pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(list, 32), shl(5, index)))
        }
    }

    function put(bytes32[] memory list, uint256 index, bytes32 word) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(list, 32), shl(5, index)), word)
        }
    }

    /// @dev Leaves the first `count` words.
    function cut(bytes32[] memory list, uint256 count) internal pure {
        assembly ("memory-safe") {
            mstore(list, count)
        }
    }

    /// @dev keccak256(abi.encodePacked(list)), without a copy.
    function hash(bytes32[] memory list) internal pure returns (bytes32 hashed) {
        assembly ("memory-safe") {
            hashed := keccak256(add(list, 32), shl(5, mload(list)))
        }
    }
}
