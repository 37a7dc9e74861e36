// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";

/// @title Merkle roots with children in ascending order; an odd node moves up unchanged.
/// @notice What it builds, OpenZeppelin's `MerkleProof.verify` checks.
library Merkle {
    /// @dev The root of `nodes`, which it uses as scratch space. No nodes: zero. One node: itself.
    function root(bytes32[] memory nodes) internal pure returns (bytes32) {
        uint256 width = nodes.length;
        if (width == 0) return 0;
        unchecked {
            while (width > 1) {
                uint256 half = width / 2;
                for (uint256 i; i < half; ++i) {
                    (bytes32 a, bytes32 b) = _pair(nodes, i);
                    bytes32 parent = Hashes.commutativeKeccak256(a, b);
                    assembly ("memory-safe") {
                        mstore(add(add(nodes, 32), shl(5, i)), parent)
                    }
                }
                if (width % 2 == 1) nodes[half++] = nodes[width - 1];
                width = half;
            }
        }
        return nodes[0];
    }

    /// @dev Nodes `2 * i` and the next; the caller's bounds hold for both.
    function _pair(bytes32[] memory nodes, uint256 i) private pure returns (bytes32 a, bytes32 b) {
        assembly ("memory-safe") {
            let at := add(add(nodes, 32), shl(6, i))
            a := mload(at)
            b := mload(add(at, 32))
        }
    }
}
