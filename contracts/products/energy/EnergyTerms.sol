// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Header} from "./EnergyBytes.sol";

/// What agreements about metered energy may have in common, in one word.
type EnergyTerms is uint256;

using EnergyWords for EnergyTerms global;

/// @title The shared terms of metered energy, by name.
/// @notice From the highest bit: 64 bits rollover, 32 fuse (W), 32 price, 8 band of that
/// price, 8 bands, 8 prices, 8 assurance, 8 continuous, 8 export. Price and band are zero where an
/// agreement has several.
library EnergyWords {
    function pack(Header memory head, uint8 band_, uint32 price_)
        internal
        pure
        returns (EnergyTerms)
    {
        uint256 high = uint256(head.rolloverAt) << 192 | uint256(head.fuseWatts) << 160
            | uint256(price_) << 128 | uint256(band_) << 120;
        uint256 low = uint256(head.bands) << 112 | uint256(head.prices) << 104
            | uint256(head.assurance) << 96 | (head.continuous ? uint256(1) << 88 : 0)
            | (head.export_ ? uint256(1) << 80 : 0);
        return EnergyTerms.wrap(high | low);
    }

    function rolloverAt(EnergyTerms terms) internal pure returns (uint64) {
        return uint64(EnergyTerms.unwrap(terms) >> 192);
    }

    function fuseWatts(EnergyTerms terms) internal pure returns (uint32) {
        return uint32(EnergyTerms.unwrap(terms) >> 160);
    }

    function price(EnergyTerms terms) internal pure returns (uint32) {
        return uint32(EnergyTerms.unwrap(terms) >> 128);
    }

    function band(EnergyTerms terms) internal pure returns (uint8) {
        return uint8(EnergyTerms.unwrap(terms) >> 120);
    }

    function bands(EnergyTerms terms) internal pure returns (uint8) {
        return uint8(EnergyTerms.unwrap(terms) >> 112);
    }

    function prices(EnergyTerms terms) internal pure returns (uint8) {
        return uint8(EnergyTerms.unwrap(terms) >> 104);
    }

    function continuous(EnergyTerms terms) internal pure returns (bool) {
        return uint8(EnergyTerms.unwrap(terms) >> 88) == 1;
    }

    function export_(EnergyTerms terms) internal pure returns (bool) {
        return uint8(EnergyTerms.unwrap(terms) >> 80) == 1;
    }
}
