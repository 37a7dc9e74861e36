// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Walks a JSON text by position, without copying it.
/// @notice Of a well-formed text it finds exactly the members of an object; what is not well-formed
/// may be refused or not, since no record that an honest oracle attests is.
/// A span is where a value lies in the text: its first position, and the one after its last.
library JsonText {
    struct Span {
        uint256 from; // zero: there is none
        uint256 to;
    }

    /// @notice The text is not one that this contract reads.
    /// @param at the position where it stopped
    error RecordUnreadable(uint256 at);

    /// @dev The character at a position; zero behind the end.
    function char(bytes memory text, uint256 at) internal pure returns (uint256 value) {
        if (at >= text.length) return 0;
        assembly ("memory-safe") {
            value := byte(0, mload(add(add(text, 32), at)))
        }
    }

    /// @dev The first position from `at` on that is no white space.
    function past(bytes memory text, uint256 at) internal pure returns (uint256) {
        while (true) {
            uint256 c = char(text, at);
            if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09) return at;
            ++at;
        }
        return at;
    }

    /// @dev The position after a character that has to be there.
    function expect(bytes memory text, uint256 at, bytes1 wanted) internal pure returns (uint256) {
        if (char(text, at) != uint8(wanted)) revert RecordUnreadable(at);
        return at + 1;
    }

    /// @dev What a string holds, and whether it has escapes. `at` is its opening quote.
    function quoted(bytes memory text, uint256 at)
        internal
        pure
        returns (Span memory span, bool escaped)
    {
        span.from = expect(text, at, '"');
        uint256 length = text.length;
        for (uint256 i = span.from; i < length; ++i) {
            uint256 c;
            assembly ("memory-safe") {
                c := byte(0, mload(add(add(text, 32), i)))
            }
            if (c == 0x22) {
                span.to = i;
                return (span, escaped);
            }
            if (c == 0x5c) {
                escaped = true;
                ++i;
            }
        }
        revert RecordUnreadable(at);
    }

    /// @dev A string without escapes: escapes can spell any letter, and are for people to read.
    function plain(bytes memory text, uint256 at) internal pure returns (Span memory span) {
        bool escaped;
        (span, escaped) = quoted(text, at);
        if (escaped) revert RecordUnreadable(at);
    }

    /// @dev The position after the value at `at`, however deep it is.
    function skip(bytes memory text, uint256 at) internal pure returns (uint256) {
        uint256 depth;
        while (true) {
            uint256 c = char(text, at);
            if (c == 0) revert RecordUnreadable(at);
            if (c == 0x22) {
                (Span memory span,) = quoted(text, at);
                at = span.to + 1;
            } else if (c == 0x7b || c == 0x5b) {
                ++depth;
                ++at;
            } else if (c == 0x7d || c == 0x5d) {
                if (depth == 0) revert RecordUnreadable(at);
                --depth;
                ++at;
            } else if (depth == 0) {
                return _scalarEnd(text, at);
            } else {
                ++at;
                continue;
            }
            if (depth == 0) return at;
        }
        return at;
    }

    /// @dev What the string member of an object that is all of the text holds.
    function member(bytes memory text, bytes memory name)
        internal
        pure
        returns (Span memory found)
    {
        uint256 at = past(text, expect(text, past(text, 0), "{"));
        while (char(text, at) != 0x7d) {
            Span memory key_ = plain(text, at);
            at = past(text, expect(text, past(text, key_.to + 1), ":"));
            if (equals(text, key_, name)) found = plain(text, at);
            at = past(text, skip(text, at));
            if (char(text, at) == 0x2c) at = past(text, at + 1);
            else if (char(text, at) != 0x7d) revert RecordUnreadable(at);
        }
        if (found.from == 0) revert RecordUnreadable(at);
    }

    /// @dev A key of two capital letters as a number, as all keys of OCMF are; zero for any other.
    function key(bytes memory text, Span memory span) internal pure returns (uint256) {
        if (span.to != span.from + 2) return 0;
        return char(text, span.from) << 8 | char(text, span.from + 1);
    }

    /// @dev Whether a span holds exactly this text.
    function equals(bytes memory text, Span memory span, bytes memory wanted)
        internal
        pure
        returns (bool)
    {
        return span.to - span.from == wanted.length && hash(text, span) == keccak256(wanted);
    }

    /// @dev keccak256 of what a span holds.
    function hash(bytes memory text, Span memory span) internal pure returns (bytes32 value) {
        (uint256 from, uint256 length) = (span.from, span.to - span.from);
        assembly ("memory-safe") {
            value := keccak256(add(add(text, 32), from), length)
        }
    }

    /// @dev A copy of what a span holds.
    function slice(bytes memory text, Span memory span) internal pure returns (bytes memory copy) {
        (uint256 from, uint256 length) = (span.from, span.to - span.from);
        copy = new bytes(length);
        assembly ("memory-safe") {
            mcopy(add(copy, 32), add(add(text, 32), from), length)
        }
    }

    function _scalarEnd(bytes memory text, uint256 at) private pure returns (uint256 end) {
        for (end = at;; ++end) {
            uint256 c = char(text, end);
            bool ends = c == 0 || c == 0x2c || c == 0x7d || c == 0x5d || c == 0x20 || c == 0x0a
                || c == 0x0d || c == 0x09;
            if (ends) break;
        }
        if (end == at) revert RecordUnreadable(at);
    }
}
