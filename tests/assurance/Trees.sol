// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Merkle trees of a few leaves: children in ascending order, an odd node moves up.
library Trees {
    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        bytes32[] memory level = leaves;
        while (level.length > 1) level = _above(level);
        return level[0];
    }

    function proof(bytes32[] memory leaves, bytes32 leaf) internal pure returns (bytes32[] memory) {
        bytes32[] memory path = new bytes32[](8);
        uint256 count;
        bytes32[] memory level = leaves;
        uint256 place;
        while (level[place] != leaf) ++place;
        while (level.length > 1) {
            if ((place ^ 1) < level.length) path[count++] = level[place ^ 1];
            (level, place) = (_above(level), place / 2);
        }
        assembly ("memory-safe") {
            mstore(path, count)
        }
        return path;
    }

    function _above(bytes32[] memory level) private pure returns (bytes32[] memory above) {
        above = new bytes32[]((level.length + 1) / 2);
        for (uint256 i; i < above.length; ++i) {
            bytes32 left = level[2 * i];
            bytes32 right = 2 * i + 1 < level.length ? level[2 * i + 1] : bytes32(0);
            if (right == 0) above[i] = left;
            else if (left < right) above[i] = keccak256(abi.encode(left, right));
            else above[i] = keccak256(abi.encode(right, left));
        }
    }
}
