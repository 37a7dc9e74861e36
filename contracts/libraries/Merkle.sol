// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Merkle roots with children in ascending order; an odd node moves up unchanged.
/// @notice What it builds, OpenZeppelin's `MerkleProof.verify` checks.
library Merkle {
    /// @dev The root of `nodes`, which it uses as scratch space. No nodes: zero. One node: itself.
    function root(bytes32[] memory nodes) internal pure returns (bytes32) {
        uint256 width = nodes.length;
        if (width == 0) return 0;
        while (width > 1) width = _level(nodes, width);
        return nodes[0];
    }

    /// @dev Replaces the first `width` nodes by their parents; how many those are. It stays within the
    /// list: a parent is written at or before the first of its children, which were read by then.
    function _level(bytes32[] memory nodes, uint256 width) private pure returns (uint256 above) {
        assembly ("memory-safe") {
            let to := add(nodes, 32)
            let from := to
            for { let end := add(from, shl(6, shr(1, width))) } lt(from, end) {} {
                let a := mload(from)
                let b := mload(add(from, 32))
                let swapped := shl(5, gt(a, b)) // where the first one goes: the smaller comes first
                mstore(swapped, a)
                mstore(sub(32, swapped), b)
                mstore(to, keccak256(0, 64))
                from := add(from, 64)
                to := add(to, 32)
            }
            if and(width, 1) { mstore(to, mload(from)) }
            above := shr(1, add(width, 1))
        }
    }
}
