// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JsonText} from "./JsonText.sol";

/// @title The single fields of an OCMF record as numbers: counter, time, register, meter reading.
/// @notice As device_adapters/protocols/ocmf/fields.py and registers.py read them. What those accept
/// in other spellings, this refuses: such a record is for people to rule on.
library OcmfFields {
    using JsonText for bytes;

    uint256 private constant STREAM_BIT = 39; // of counters: the fiscal stream

    /// @dev The device's counter in a pagination: T and a number, or F for the fiscal stream.
    function counter(bytes memory text, JsonText.Span memory span)
        internal
        pure
        returns (uint40)
    {
        uint256 stream = text.char(span.from);
        bool sound = span.to > span.from + 1 && span.to <= span.from + 16
            && (stream == 0x54 || stream == 0x46);
        if (!sound) revert JsonText.RecordUnreadable(span.from);
        uint256 value = _number(text, span.from + 1, span.to);
        if (value >> STREAM_BIT != 0) revert JsonText.RecordUnreadable(span.from);
        return uint40(value | (stream == 0x46 ? 1 << STREAM_BIT : 0));
    }

    /// @dev Unix seconds of a time such as "2026-03-01T08:00:00,000+0100 S", rounded down.
    function time(bytes memory text, JsonText.Span memory span) internal pure returns (uint40) {
        uint256 at = span.from;
        if (span.to < at + 20) revert JsonText.RecordUnreadable(at);
        uint256 whole = _days(_number(text, at, at + 4), _number(text, at + 5, at + 7),
            _number(text, at + 8, at + 10));
        whole = (whole * 24 + _number(text, at + 11, at + 13)) * 60 + _number(text, at + 14, at + 16);
        whole = whole * 60 + _number(text, at + 17, at + 19);
        bool dashed = text.char(at + 4) == 0x2d && text.char(at + 7) == 0x2d
            && text.char(at + 10) == 0x54 && text.char(at + 13) == 0x3a
            && text.char(at + 16) == 0x3a;
        at += 19;
        if (text.char(at) == 0x2c || text.char(at) == 0x2e) {
            for (++at; at < span.to && _isDigit(text.char(at)); ++at) {}
        }
        uint256 sign = text.char(at++);
        if (sign == 0x2b || sign == 0x2d) {
            uint256 hours_ = _number(text, at, at + 2);
            at += text.char(at + 2) == 0x3a ? 3 : 2;
            uint256 zone = (hours_ * 60 + _number(text, at, at + 2)) * 60;
            at += 2;
            whole = sign == 0x2b ? whole - zone : whole + zone;
        } else if (sign != 0x5a) {
            dashed = false;
        }
        bool ends = at == span.to || (at + 2 == span.to && text.char(at) == 0x20);
        if (!dashed || !ends) revert JsonText.RecordUnreadable(span.from);
        return uint40(whole);
    }

    /// @dev The six bytes of an OBIS code in hex, as claims name a register; zero where the text is
    /// no code. Groups A and B may be missing (then 1-0), and F (then FF); vendors write 255 and 200.
    function register(bytes memory text, JsonText.Span memory span)
        internal
        pure
        returns (uint48)
    {
        (uint256 c, uint256 at) = _group(text, span.from, span.to);
        uint256 head = 0x0100; // groups A and B
        if (text.char(at) == 0x2d && at <= span.from + 2) {
            uint256 from = at + 1;
            uint256 b;
            (b, at) = _group(text, from, span.to);
            if (text.char(at) != 0x3a || at > from + 2) return _noCode(text, span);
            head = c << 8 | b;
            (c, at) = _group(text, at + 1, span.to);
        }
        (uint256 d, uint256 e, uint256 f) = (256, 256, 0xff);
        if (text.char(at) == 0x2e) (d, at) = _group(text, at + 1, span.to);
        if (text.char(at) == 0x2e) (e, at) = _group(text, at + 1, span.to);
        if (at < span.to) {
            uint256 separator = text.char(at);
            if (separator != 0x2a && separator != 0x2e && separator != 0x26) {
                return _noCode(text, span);
            }
            (f, at) = _group(text, at + 1, span.to);
            if (f == 0x255) f = 0xff;
            if (f == 0x200) f = 0;
        }
        bool sound = at == span.to && head >> 16 == 0 && c < 256 && d < 256 && e < 256 && f < 256;
        if (!sound) return _noCode(text, span);
        return uint48(head << 32 | c << 24 | d << 16 | e << 8 | f);
    }

    /// @dev Whether a register counts active energy (OCMF, table 25, and vendors' 98 and 9E).
    function isEnergy(uint48 code) internal pure returns (bool) {
        uint256 known = (1 << 0x01) | (1 << 0x02) | (1 << 0x98) | (1 << 0x9e) | (0xf << 0xb0)
            | (0xf << 0xc0);
        bool total = uint16(code) == 0 || uint16(code) == 0xff; // groups E and F
        return code >> 40 == 1 && uint8(code >> 16) == 8 && total
            && (known >> uint8(code >> 24)) & 1 == 1;
    }

    /// @dev Whether a register begins at zero with each session: groups C of B2, B3, C2 and C3.
    function isPerSession(uint48 code) internal pure returns (bool) {
        uint8 c = uint8(code >> 24);
        return c == 0xb2 || c == 0xb3 || c == 0xc2 || c == 0xc3;
    }

    /// @dev Milliwatt-hours of digits with or without a point, rounded down. Plain digits alone:
    /// `plain` is false for a sign or an exponent.
    function milliwattHours(bytes memory text, JsonText.Span memory span, uint256 decimals)
        internal
        pure
        returns (bool plain, uint256 value)
    {
        bool behindPoint;
        plain = span.to > span.from && span.to <= span.from + 40;
        for (uint256 at = span.from; plain && at < span.to; ++at) {
            uint256 c = text.char(at);
            if (c == 0x2e && !behindPoint) {
                behindPoint = true;
            } else if (!_isDigit(c)) {
                plain = false;
            } else if (!behindPoint || decimals != 0) {
                value = value * 10 + c - 0x30;
                if (behindPoint) --decimals;
            }
        }
        value *= 10 ** decimals;
    }

    /// @dev How many decimals of a unit make a milliwatt-hour.
    function decimalsOf(bytes memory text, JsonText.Span memory span)
        internal
        pure
        returns (uint256)
    {
        if (text.equals(span, "kWh")) return 6;
        if (text.equals(span, "Wh")) return 3;
        revert JsonText.RecordUnreadable(span.from);
    }

    /// @dev No code, and no white space in it either: with that, others read a code.
    function _noCode(bytes memory text, JsonText.Span memory span) private pure returns (uint48) {
        for (uint256 at = span.from; at < span.to; ++at) {
            uint256 c = text.char(at);
            if (c <= 0x20 || c > 0x7e) revert JsonText.RecordUnreadable(at);
        }
        return 0;
    }

    /// @dev Up to three hex digits; 256 or more where there are none or too many.
    function _group(bytes memory text, uint256 at, uint256 end)
        private
        pure
        returns (uint256 value, uint256)
    {
        uint256 from = at;
        for (; at < end && at < from + 3; ++at) {
            uint256 digit = hexDigit(text.char(at));
            if (digit > 15) break;
            value = value << 4 | digit;
        }
        return (at == from ? 1 << 16 : value, at);
    }

    /// @dev The value of a hex digit; more than 15 for any other character.
    function hexDigit(uint256 c) internal pure returns (uint256) {
        if (_isDigit(c)) return c - 0x30;
        c |= 0x20;
        return c >= 0x61 && c <= 0x66 ? c - 0x57 : 16;
    }

    function _number(bytes memory text, uint256 from, uint256 to)
        private
        pure
        returns (uint256 value)
    {
        for (uint256 at = from; at < to; ++at) {
            uint256 c = text.char(at);
            if (!_isDigit(c)) revert JsonText.RecordUnreadable(at);
            value = value * 10 + c - 0x30;
        }
    }

    function _isDigit(uint256 c) private pure returns (bool) {
        return c >= 0x30 && c <= 0x39;
    }

    /// @dev Days since 1970 of a date of the Gregorian calendar, in years that begin in March.
    function _days(uint256 year, uint256 month, uint256 day) private pure returns (uint256) {
        if (year < 1971 || month == 0 || month > 12 || day == 0 || day > 31) {
            revert JsonText.RecordUnreadable(0);
        }
        if (month < 3) {
            month += 12;
            --year;
        }
        uint256 ofYear = (153 * (month - 3) + 2) / 5 + day - 1;
        return 365 * year + year / 4 - year / 100 + year / 400 + ofYear - 719_468;
    }
}
