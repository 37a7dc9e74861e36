// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Where in the call data a claim of a batch begins.
type ClaimAt is uint256;

using ClaimBytes for ClaimAt global;

/// @title The bytes of a batch's claims, and how they are read where they lie.
/// @notice Each claim, big-endian and without padding: 32 bytes agreement, 32 bytes evidence, uint16
/// number of its group in the call, uint32 sequence, uint40 first counter, uint40 last counter,
/// uint16 length of the facts, the facts.
/// Warning: reads are not checked; `count` says beforehand whether all claims lie within the bytes.
library ClaimBytes {
    uint256 private constant HEAD = 82;

    /// @dev How many claims the bytes hold; 0: none, or something is left over or cut off.
    function count(bytes calldata claims) internal pure returns (uint256 number) {
        unchecked { // offsets of call data
            uint256 end = end_(claims);
            for (uint256 at = ClaimAt.unwrap(first(claims)); at != end; ++number) {
                if (at + HEAD > end) return 0;
                at = ClaimAt.unwrap(ClaimAt.wrap(at).next());
                if (at > end) return 0;
            }
        }
    }

    function first(bytes calldata claims) internal pure returns (ClaimAt at) {
        assembly ("memory-safe") {
            at := claims.offset
        }
    }

    function next(ClaimAt claim) internal pure returns (ClaimAt) {
        unchecked {
            return ClaimAt.wrap(ClaimAt.unwrap(claim) + HEAD + claim.length());
        }
    }

    function agreement(ClaimAt claim) internal pure returns (bytes32) {
        return bytes32(_word(claim, 0));
    }

    function evidence(ClaimAt claim) internal pure returns (bytes32) {
        return bytes32(_word(claim, 32));
    }

    function group(ClaimAt claim) internal pure returns (uint256) {
        return _word(claim, 64) >> 240;
    }

    function sequence(ClaimAt claim) internal pure returns (uint256) {
        return uint32(_word(claim, 64) >> 208);
    }

    function firstCounter(ClaimAt claim) internal pure returns (uint256) {
        return uint40(_word(claim, 64) >> 168);
    }

    function lastCounter(ClaimAt claim) internal pure returns (uint256) {
        return uint40(_word(claim, 64) >> 128);
    }

    /// @dev First and last counter, 40 bits each.
    function counters(ClaimAt claim) internal pure returns (uint256) {
        return uint80(_word(claim, 64) >> 128);
    }

    function length(ClaimAt claim) internal pure returns (uint256) {
        return uint16(_word(claim, 64) >> 112);
    }

    function facts(ClaimAt claim) internal pure returns (bytes calldata raw) {
        uint256 size = claim.length();
        assembly ("memory-safe") {
            raw.offset := add(claim, HEAD)
            raw.length := size
        }
    }

    function end_(bytes calldata claims) private pure returns (uint256 end) {
        assembly ("memory-safe") {
            end := add(claims.offset, claims.length)
        }
    }

    function _word(ClaimAt claim, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(claim, offset))
        }
    }
}
