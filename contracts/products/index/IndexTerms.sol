// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Where in memory a tariff begins.
type Tariff is uint256;

/// Where in memory a curve of a tariff begins.
type Curve is uint256;

using IndexTerms for Tariff global;
using IndexTerms for Curve global;

/// @title The tariff of an Index agreement: how it is written, checked once, and read by name.
/// @notice Amounts are token minor units, times seconds, shares basis points; all big-endian:
///   head, 32 bytes: uint8 metrics, uint8 curves, uint16 least coverage, uint16 least sources,
///     uint32 shortest and uint32 longest period, int48 base, uint48 floor, uint48 ceiling;
///   for each metric, 16 bytes: int64 least and int64 most value;
///   for each curve, 3 bytes and 14 for each knot: uint8 metric, uint8 kind (1: a factor; 2: declared
///     to rise; 4: declared to fall), uint8 knots, then int64 x and int48 y of each knot;
///   for each metric its name: uint8 length, text;
///   the device that signs reports, and what they are about: uint8 length, text, twice; length 0 in
///     place of both: the contract checks no signature.
/// `isSound` says whether bytes are a tariff; every other function believes that they are.
/// A sound tariff cannot overflow: at most 8 curves of at most 16 knots, |y| < 2^47 of what is added,
/// 0 to 1,000,000 basis points of a factor, so |base + sums| < 2^51, all factors < 2^160.
library IndexTerms {
    uint256 internal constant MOST_METRICS = 6;
    uint256 internal constant MOST_CURVES = 8;
    uint256 internal constant MOST_KNOTS = 16;
    uint256 internal constant MOST_MONEY = (1 << 44) - 1; // what a row of the rail can hold
    int256 internal constant MOST_FACTOR = 1_000_000; // basis points
    int256 internal constant FULL = 10_000; // basis points

    uint256 private constant HEAD = 32;
    uint256 private constant BOUNDS = 16;
    uint256 private constant CURVE = 3;
    uint256 private constant KNOT = 14;
    uint256 private constant FACTOR = 1;
    uint256 private constant RISES = 2;
    uint256 private constant FALLS = 4;

    // --- reading

    function first(bytes memory raw) internal pure returns (Tariff tariff) {
        assembly ("memory-safe") {
            tariff := add(raw, 32)
        }
    }

    function metrics(Tariff tariff) internal pure returns (uint256) {
        return _word(tariff, 0) >> 248;
    }

    function curves(Tariff tariff) internal pure returns (uint256) {
        return uint8(_word(tariff, 0) >> 240);
    }

    function coverage(Tariff tariff) internal pure returns (uint256) {
        return uint16(_word(tariff, 0) >> 224);
    }

    function sources(Tariff tariff) internal pure returns (uint256) {
        return uint16(_word(tariff, 0) >> 208);
    }

    function shortest(Tariff tariff) internal pure returns (uint256) {
        return uint32(_word(tariff, 0) >> 176);
    }

    function longest(Tariff tariff) internal pure returns (uint256) {
        return uint32(_word(tariff, 0) >> 144);
    }

    function base(Tariff tariff) internal pure returns (int256) {
        return int48(uint48(_word(tariff, 0) >> 96));
    }

    function floor(Tariff tariff) internal pure returns (int256) {
        return int256(uint256(uint48(_word(tariff, 0) >> 48)));
    }

    function ceiling(Tariff tariff) internal pure returns (int256) {
        return int256(uint256(uint48(_word(tariff, 0))));
    }

    function bounds(Tariff tariff, uint256 metric) internal pure returns (int256 least, int256 most) {
        uint256 word = _word(tariff, HEAD + metric * BOUNDS);
        return (int64(uint64(word >> 192)), int64(uint64(word >> 128)));
    }

    /// @dev Where the names of the metrics begin.
    function names(Tariff tariff) internal pure returns (uint256) {
        Curve curve = tariff.firstCurve();
        for (uint256 i = tariff.curves(); i != 0; --i) curve = curve.next();
        return Curve.unwrap(curve);
    }

    function firstCurve(Tariff tariff) internal pure returns (Curve) {
        return Curve.wrap(Tariff.unwrap(tariff) + HEAD + tariff.metrics() * BOUNDS);
    }

    function next(Curve curve) internal pure returns (Curve) {
        return Curve.wrap(Curve.unwrap(curve) + CURVE + curve.knots() * KNOT);
    }

    function metric(Curve curve) internal pure returns (uint256) {
        return _word(curve) >> 248;
    }

    function isFactor(Curve curve) internal pure returns (bool) {
        return _word(curve) >> 240 & FACTOR != 0;
    }

    function knots(Curve curve) internal pure returns (uint256) {
        return uint8(_word(curve) >> 232);
    }

    function knot(Curve curve, uint256 number) internal pure returns (int256 x, int256 y) {
        uint256 word;
        unchecked { // addresses
            uint256 at_ = Curve.unwrap(curve) + CURVE + number * KNOT;
            assembly ("memory-safe") {
                word := mload(at_)
            }
        }
        return (int64(uint64(word >> 192)), int48(uint48(word >> 144)));
    }

    // --- the formula

    /// @dev The value at `x`: outside the knots that of the nearest, between two of them on the line,
    /// rounded down.
    function at(Curve curve, int256 x) internal pure returns (int256) {
        (int256 x0, int256 y0) = curve.knot(0);
        if (x <= x0) return y0;
        uint256 count = curve.knots();
        unchecked { // x of 64 bits, y of 48
            for (uint256 i = 1; i < count; ++i) {
                (int256 x1, int256 y1) = curve.knot(i);
                if (x < x1) return y0 + floorDiv((y1 - y0) * (x - x0), x1 - x0);
                (x0, y0) = (x1, y1);
            }
        }
        return y0;
    }

    /// @dev Divides and rounds down, also below zero; `by` is positive.
    function floorDiv(int256 value, int256 by) internal pure returns (int256) {
        unchecked { // by > 0
            int256 quotient = value / by;
            return value % by < 0 ? quotient - 1 : quotient;
        }
    }

    // --- checking

    /// @dev Whether the bytes are a tariff whose curves rise in x, keep what they declare, and cannot
    /// overflow.
    function isSound(bytes memory raw) internal pure returns (bool) {
        if (raw.length < HEAD) return false;
        Tariff tariff = first(raw);
        uint256 end = Tariff.unwrap(tariff) + raw.length;
        if (!_headSound(tariff)) return false;
        uint256 at_ = Curve.unwrap(tariff.firstCurve());
        if (at_ > end) return false;
        for (uint256 i; i < tariff.metrics(); ++i) {
            (int256 least, int256 most) = tariff.bounds(i);
            if (least > most) return false;
        }
        for (uint256 i; i < tariff.curves(); ++i) {
            if (at_ + CURVE > end) return false;
            Curve curve = Curve.wrap(at_);
            at_ = Curve.unwrap(curve.next());
            if (at_ > end || curve.metric() >= tariff.metrics() || !_curveSound(curve)) return false;
        }
        bool named = true;
        for (uint256 i; i < tariff.metrics() && named; ++i) (named, at_) = _text(at_, end);
        if (!named || at_ >= end) return false;
        (bool whole, uint256 next_) = _text(at_, end);
        if (whole) (whole, next_) = _text(next_, end);
        else (whole, next_) = (_isZero(at_), at_ + 1);
        return whole && next_ == end;
    }

    /// @dev Whether a text that is not empty lies there, before the end; and what follows it.
    function _text(uint256 at_, uint256 end) private pure returns (bool, uint256) {
        if (at_ >= end || _isZero(at_)) return (false, at_);
        uint256 length;
        assembly ("memory-safe") {
            length := byte(0, mload(at_))
        }
        return (at_ + 1 + length <= end, at_ + 1 + length);
    }

    function _isZero(uint256 at_) private pure returns (bool zero) {
        assembly ("memory-safe") {
            zero := iszero(byte(0, mload(at_)))
        }
    }

    function _headSound(Tariff tariff) private pure returns (bool) {
        uint256 count = tariff.metrics();
        bool counted = count != 0 && count <= MOST_METRICS && tariff.curves() <= MOST_CURVES;
        bool asked = tariff.coverage() <= uint256(FULL);
        bool timed = tariff.shortest() != 0 && tariff.shortest() <= tariff.longest();
        int256 most = tariff.ceiling();
        bool clipped = most != 0 && uint256(most) <= MOST_MONEY && tariff.floor() <= most;
        return counted && asked && timed && clipped;
    }

    function _curveSound(Curve curve) private pure returns (bool) {
        uint256 count = curve.knots();
        uint256 kind = uint8(_word(curve) >> 240);
        if (count == 0 || count > MOST_KNOTS || kind > (FALLS | FACTOR)) return false;
        (int256 x0, int256 y0) = curve.knot(0);
        for (uint256 i; i < count; ++i) {
            (int256 x, int256 y) = curve.knot(i);
            if (i != 0 && x <= x0) return false;
            if (kind & RISES != 0 && y < y0 || kind & FALLS != 0 && y > y0) return false;
            if (kind & FACTOR != 0 && (y < 0 || y > MOST_FACTOR)) return false;
            (x0, y0) = (x, y);
        }
        return true;
    }

    function _word(Tariff tariff, uint256 offset) private pure returns (uint256 word) {
        unchecked { // addresses
            uint256 at_ = Tariff.unwrap(tariff) + offset;
            assembly ("memory-safe") {
                word := mload(at_)
            }
        }
    }

    function _word(Curve curve) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(curve)
        }
    }
}
