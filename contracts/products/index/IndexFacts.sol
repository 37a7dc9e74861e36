// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Where in the call data the facts of an Index claim begin.
type Facts is uint256;

/// Where in the call data their seal begins.
type Seal is uint256;

using IndexFacts for Facts global;
using IndexFacts for Seal global;

/// @title The facts of an Index claim: one period of what the agreement is about.
/// @notice Big-endian: uint32 from and uint32 to (Unix seconds), uint16 coverage (basis points of the
/// period that was observed), uint16 sources, int64 of each metric. Where the tariff names a device
/// that signs, its seal follows: uint32 ordinal of the report, uint32 when it was sealed, 32 bytes
/// commitment, 64 bytes signature (r, s).
library IndexFacts {
    uint256 internal constant HEAD = 12;
    uint256 internal constant METRIC = 8;
    uint256 internal constant SEAL = 104;

    function first(bytes calldata raw) internal pure returns (Facts facts) {
        assembly ("memory-safe") {
            facts := raw.offset
        }
    }

    function from(Facts facts) internal pure returns (uint256) {
        return _word(facts, 0) >> 224;
    }

    function to(Facts facts) internal pure returns (uint256) {
        return uint32(_word(facts, 0) >> 192);
    }

    function coverage(Facts facts) internal pure returns (uint256) {
        return uint16(_word(facts, 0) >> 176);
    }

    function sources(Facts facts) internal pure returns (uint256) {
        return uint16(_word(facts, 0) >> 160);
    }

    function metric(Facts facts, uint256 number) internal pure returns (int256) {
        unchecked { // addresses
            return int64(uint64(_word(facts, HEAD + number * METRIC) >> 192));
        }
    }

    function seal(Facts facts, uint256 metrics) internal pure returns (Seal) {
        unchecked { // addresses
            return Seal.wrap(Facts.unwrap(facts) + HEAD + metrics * METRIC);
        }
    }

    function ordinal(Seal seal_) internal pure returns (uint256) {
        return _word(Facts.wrap(Seal.unwrap(seal_)), 0) >> 224;
    }

    function sealedAt(Seal seal_) internal pure returns (uint256) {
        return uint32(_word(Facts.wrap(Seal.unwrap(seal_)), 0) >> 192);
    }

    function commitment(Seal seal_) internal pure returns (bytes32) {
        return bytes32(_word(Facts.wrap(Seal.unwrap(seal_)), 8));
    }

    function signature(Seal seal_) internal pure returns (bytes32 r, bytes32 s) {
        Facts at = Facts.wrap(Seal.unwrap(seal_));
        return (bytes32(_word(at, 40)), bytes32(_word(at, 72)));
    }

    function _word(Facts facts, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(facts, offset))
        }
    }
}
