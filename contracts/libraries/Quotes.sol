// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Where in the call data a quote begins.
type Quote is uint256;

/// What a product answers to a quote.
type Reply is uint256;

using Quotes for Quote global;
using Quotes for Reply global;

/// @title What the rail asks a product about claims, and what the product replies, by name.
/// @notice A quote: 32 bytes agreement; 80 bits note, 48 limit, 40 claimedTo, 40 firstCounter, 40
/// lastCounter, 8 flags (1 late, 2 a device follows); 16 bits group, 40 until, 16 length of the
/// facts; perhaps 32 bytes device; the facts. A reply, from the highest bit: int48 amount, 8 bits
/// refusal, 40 unused, 160 payee or note.
/// Warning: reads are not checked; the rail writes the quotes.
library Quotes {
    /// What the rail says of a claim, without its facts.
    struct Asked {
        bytes32 agreement;
        bytes32 device; // zero: steady, and the product has Traits.STEADY
        uint256 group; // whose shared terms hold: their place in the list of `price`
        uint256 note; // what the product keeps in the rail
        uint256 limit; // the most that may be charged: what cap and escrow leave
        uint256 claimedTo; // the last counter that was claimed before
        uint256 counters; // the first of the claim (40 bits) and the last (40 bits)
        bool late; // its counters begin at or below the last claimed one; only with Traits.LATE
        uint256 until; // facts after it are refused: the agreement's end, or a clock's grace from now
    }

    uint256 private constant HEAD = 73;
    uint256 private constant LATE = 1;
    uint256 private constant DEVICE = 2;

    // --- for the rail

    /// @dev Memory that the quotes of so many claims fit into.
    function allocate(uint256 count, uint256 claimBytes) internal pure returns (bytes memory) {
        return new bytes(count * (HEAD + 32) + claimBytes + 32); // the last word is written whole
    }

    /// @dev Writes a quote into `buffer` behind the first `used` bytes; how many are used then.
    function put(bytes memory buffer, uint256 used, Asked memory asked, bytes calldata facts_)
        internal
        pure
        returns (uint256)
    {
        unchecked { // what a row holds fits
            uint256 size = facts_.length;
            uint256 extra = asked.device == 0 ? 0 : 32;
            uint256 flags = (asked.late ? LATE : 0) | extra >> 4;
            uint256 word = asked.note << 176 | asked.limit << 128 | asked.claimedTo << 88
                | asked.counters << 8 | flags;
            uint256 rest = asked.group << 240 | asked.until << 200 | size << 184;
            assembly ("memory-safe") {
                let at := add(add(buffer, 32), used)
                mstore(at, mload(asked))
                mstore(add(at, 32), word)
                mstore(add(at, 64), rest)
                mstore(add(at, HEAD), mload(add(asked, 32))) // facts cover it where it is left out
                calldatacopy(add(add(at, HEAD), extra), facts_.offset, size)
            }
            return used + HEAD + extra + size;
        }
    }

    /// @dev Cuts the buffer to what was written.
    function cut(bytes memory buffer, uint256 used) internal pure {
        assembly ("memory-safe") {
            mstore(buffer, used)
        }
    }

    function amount(Reply reply) internal pure returns (int256) {
        return int256(Reply.unwrap(reply)) >> 208;
    }

    function refusal(Reply reply) internal pure returns (uint8) {
        return uint8(Reply.unwrap(reply) >> 200);
    }

    function payee(Reply reply) internal pure returns (address) {
        return address(uint160(Reply.unwrap(reply)));
    }

    function newNote(Reply reply) internal pure returns (uint80) {
        return uint80(Reply.unwrap(reply));
    }

    // --- for products

    function first(bytes calldata quotes) internal pure returns (Quote quote) {
        assembly ("memory-safe") {
            quote := quotes.offset
        }
    }

    function next(Quote quote) internal pure returns (Quote) {
        bytes calldata last = quote.facts();
        assembly ("memory-safe") {
            quote := add(last.offset, last.length)
        }
        return quote;
    }

    function agreement(Quote quote) internal pure returns (bytes32) {
        return bytes32(_word(quote, 0));
    }

    function note(Quote quote) internal pure returns (uint80) {
        return uint80(_word(quote, 32) >> 176);
    }

    function limit(Quote quote) internal pure returns (uint48) {
        return uint48(_word(quote, 32) >> 128);
    }

    function claimedTo(Quote quote) internal pure returns (uint40) {
        return uint40(_word(quote, 32) >> 88);
    }

    function firstCounter(Quote quote) internal pure returns (uint40) {
        return uint40(_word(quote, 32) >> 48);
    }

    function lastCounter(Quote quote) internal pure returns (uint40) {
        return uint40(_word(quote, 32) >> 8);
    }

    function late(Quote quote) internal pure returns (bool) {
        return _word(quote, 32) & LATE != 0;
    }

    /// @dev The device; zero: it was active all the time since the agreement's start.
    function device(Quote quote) internal pure returns (bytes32) {
        return _word(quote, 32) & DEVICE == 0 ? bytes32(0) : bytes32(_word(quote, HEAD));
    }

    function group(Quote quote) internal pure returns (uint256) {
        return _word(quote, 64) >> 240;
    }

    function until(Quote quote) internal pure returns (uint40) {
        return uint40(_word(quote, 64) >> 200);
    }

    function facts(Quote quote) internal pure returns (bytes calldata raw) {
        uint256 size = uint16(_word(quote, 64) >> 184);
        uint256 extra = (_word(quote, 32) & DEVICE) << 4;
        assembly ("memory-safe") {
            raw.offset := add(add(quote, HEAD), extra)
            raw.length := size
        }
    }

    /// @dev The reply that refuses a claim.
    function refused(uint8 reason) internal pure returns (Reply) {
        return Reply.wrap(uint256(reason) << 200);
    }

    /// @dev The reply of a product that keeps a note, or nothing (0), in the rail.
    function priced(int256 amount_, uint80 note_) internal pure returns (Reply) {
        return Reply.wrap(uint256(amount_) << 208 | note_);
    }

    /// @dev The reply of a product that names each claim's payee.
    function pricedFor(int256 amount_, address payee_) internal pure returns (Reply) {
        return Reply.wrap(uint256(amount_) << 208 | uint160(payee_));
    }

    function _word(Quote quote, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(quote, offset))
        }
    }
}
