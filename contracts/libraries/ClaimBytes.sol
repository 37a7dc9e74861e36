// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Where in the call data a claim of a batch begins.
type ClaimAt is uint256;

/// The word of a claim that holds all its numbers: read once, then taken apart.
type ClaimHead is uint256;

using ClaimBytes for ClaimAt global;
using ClaimBytes for ClaimHead global;

/// @title The bytes of a batch's claims, and how they are read where they lie.
/// @notice Each claim, big-endian and without padding: 32 bytes agreement, 32 bytes evidence, uint16
/// number of its group in the call, uint32 sequence, uint40 first counter, uint40 last counter,
/// uint16 length of the facts, the facts.
/// Warning: reads are not checked. Who goes from the first claim to the end and meets it exactly has
/// read nothing else: a claim that is cut off, or bytes that are left over, lead beyond it.
library ClaimBytes {
    uint256 internal constant LEAST = 82; // bytes of a claim without its facts
    uint256 private constant HEAD_AT = 64;

    function first(bytes calldata claims) internal pure returns (ClaimAt at) {
        assembly ("memory-safe") {
            at := claims.offset
        }
    }

    /// @dev Where the claims end.
    function end(bytes calldata claims) internal pure returns (ClaimAt at) {
        assembly ("memory-safe") {
            at := add(claims.offset, claims.length)
        }
    }

    function isBefore(ClaimAt claim, ClaimAt other) internal pure returns (bool) {
        return ClaimAt.unwrap(claim) < ClaimAt.unwrap(other);
    }

    function next(ClaimAt claim, ClaimHead numbers) internal pure returns (ClaimAt) {
        unchecked { // offsets of call data
            return ClaimAt.wrap(ClaimAt.unwrap(claim) + LEAST + numbers.length());
        }
    }

    function agreement(ClaimAt claim) internal pure returns (bytes32) {
        return bytes32(_word(claim, 0));
    }

    function evidence(ClaimAt claim) internal pure returns (bytes32) {
        return bytes32(_word(claim, 32));
    }

    function head(ClaimAt claim) internal pure returns (ClaimHead) {
        return ClaimHead.wrap(_word(claim, HEAD_AT));
    }

    function facts(ClaimAt claim, ClaimHead numbers) internal pure returns (bytes calldata raw) {
        uint256 size = numbers.length();
        assembly ("memory-safe") {
            raw.offset := add(claim, LEAST)
            raw.length := size
        }
    }

    function group(ClaimHead numbers) internal pure returns (uint256) {
        return ClaimHead.unwrap(numbers) >> 240;
    }

    function sequence(ClaimHead numbers) internal pure returns (uint256) {
        return uint32(ClaimHead.unwrap(numbers) >> 208);
    }

    function firstCounter(ClaimHead numbers) internal pure returns (uint256) {
        return uint40(ClaimHead.unwrap(numbers) >> 168);
    }

    function lastCounter(ClaimHead numbers) internal pure returns (uint256) {
        return uint40(ClaimHead.unwrap(numbers) >> 128);
    }

    /// @dev First and last counter, 40 bits each.
    function counters(ClaimHead numbers) internal pure returns (uint256) {
        return uint80(ClaimHead.unwrap(numbers) >> 128);
    }

    function length(ClaimHead numbers) internal pure returns (uint256) {
        return uint16(ClaimHead.unwrap(numbers) >> 112);
    }

    function _word(ClaimAt claim, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(claim, offset))
        }
    }
}
