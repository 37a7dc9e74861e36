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
    /// A call of a product's `price`, written where it is sent from, so that nothing is copied. Where
    /// in memory it begins, where the length of its quotes stands, and where the next quote goes.
    struct Call {
        uint256 start;
        uint256 quotes;
        uint256 end;
        uint256 count;
    }

    uint256 private constant HEAD = 73; // bytes of a quote without device and facts
    uint256 private constant DEVICE_BYTES = 32;
    uint256 private constant LATE = 1;
    uint256 private constant DEVICE = 2;

    // --- for the rail

    /// @dev The most bytes that the quotes of claims take: a quote's numbers are shorter than a claim's,
    /// and a device may come on top.
    function mostBytes(uint256 count, uint256 claimBytes) internal pure returns (uint256) {
        return claimBytes + count * DEVICE_BYTES;
    }

    /// @dev Begins a call that takes `most` bytes of quotes. Until `send` nobody else allocates
    /// memory that is to stay: what the quotes did not need is free again then.
    function begin(bytes4 selector, bytes32[] memory shared, uint256 most)
        internal
        pure
        returns (Call memory asked)
    {
        uint256 start;
        assembly ("memory-safe") {
            start := mload(0x40)
            let size := shl(5, add(mload(shared), 1)) // of the list with its length
            mstore(start, selector)
            mstore(add(start, 0x04), 0x60) // where the list begins, behind three words
            mstore(add(start, 0x44), add(0x60, size)) // where the quotes begin
            mcopy(add(start, 0x64), shared, size)
            let quotes := add(add(start, 0x64), size)
            mstore(asked, start)
            mstore(add(asked, 0x20), quotes)
            mstore(add(asked, 0x40), add(quotes, 0x20))
            mstore(0x40, and(add(add(quotes, most), 0x5f), not(0x1f)))
        }
    }

    /// @dev The second word of a quote, but for its second flag. `late_`: its counters begin at or
    /// below the last claimed one; only with Traits.LATE.
    function standing(
        uint256 note_,
        uint256 limit_,
        uint256 claimedTo_,
        uint256 counters,
        bool late_
    ) internal pure returns (uint256 word) {
        word = note_ << 176 | limit_ << 128 | claimedTo_ << 88 | counters << 8;
        if (late_) word |= LATE;
    }

    /// @dev Writes a quote. Facts after `until_` are refused: the agreement's end, or a clock's grace
    /// from now. `device_` zero: it is steady, and the product has Traits.STEADY.
    function ask(
        Call memory asked,
        bytes32 agreement_,
        uint256 standing_,
        uint256 group_,
        uint256 until_,
        bytes32 device_,
        bytes calldata facts_
    ) internal pure {
        uint256 rest = group_ << 240 | until_ << 200 | facts_.length << 184;
        assembly ("memory-safe") {
            let named := iszero(iszero(device_))
            let to := mload(add(asked, 0x40))
            mstore(to, agreement_)
            mstore(add(to, 32), or(standing_, shl(1, named))) // DEVICE
            mstore(add(to, 64), rest)
            to := add(to, HEAD)
            mstore(to, device_) // facts cover it where it is left out
            to := add(to, shl(5, named))
            calldatacopy(to, facts_.offset, facts_.length)
            mstore(add(asked, 0x40), add(to, facts_.length))
            mstore(add(asked, 0x60), add(mload(add(asked, 0x60)), 1))
        }
    }

    /// @dev Asks the product. Its answer lies where the call lay, which is longer. None: it is not
    /// one reply to each quote. A product that reverts reverts all with its own error.
    function send(Call memory asked, address product) internal returns (Reply[] memory replies) {
        assembly ("memory-safe") {
            let start := mload(asked)
            let quotes := mload(add(asked, 0x20))
            let end := mload(add(asked, 0x40))
            let count := mload(add(asked, 0x60))
            mstore(add(start, 0x24), count)
            mstore(quotes, sub(end, add(quotes, 0x20)))
            mstore(end, 0) // quotes are padded to whole words
            end := add(quotes, and(add(sub(end, quotes), 0x1f), not(0x1f)))
            mstore(0x40, and(add(end, 0x1f), not(0x1f)))
            let done := call(gas(), product, 0, start, sub(end, start), 0, 0)
            if iszero(done) {
                returndatacopy(mload(0x40), 0, returndatasize())
                revert(mload(0x40), returndatasize())
            }
            let size := add(0x40, shl(5, count)) // where the list begins, its length, its words
            if eq(returndatasize(), size) {
                returndatacopy(start, 0, size)
                if and(eq(mload(start), 0x20), eq(mload(add(start, 0x20)), count)) {
                    replies := add(start, 0x20)
                }
            }
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
        return behind(quote.facts());
    }

    /// @dev The quote that follows the one with these facts.
    function behind(bytes calldata facts_) internal pure returns (Quote quote) {
        assembly ("memory-safe") {
            quote := add(facts_.offset, facts_.length)
        }
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

    /// @dev Whether its counters follow those before, and the device was active all the time.
    function isPlain(Quote quote) internal pure returns (bool) {
        uint256 word = _word(quote, 32);
        unchecked { // 40 bits each, and flags below
            uint256 ahead = uint256(uint40(word >> 48)) - uint40(word >> 88);
            return ahead - 1 | uint8(word) == 0;
        }
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

    /// @dev Whether it is no reply yet: nothing is charged, refused, paid to anyone or noted.
    function isNone(Reply reply) internal pure returns (bool) {
        return Reply.unwrap(reply) == 0;
    }

    /// @dev Ends a call of `price` with the replies, from where they lie: Solidity copies each.
    /// Warning: nothing after it runs, no end of a modifier either.
    function answer(Reply[] memory replies) internal pure {
        assembly ("memory-safe") {
            let start := sub(replies, 32) // nobody reads what lies before the list any more
            mstore(start, 32)
            return(start, add(shl(5, mload(replies)), 64))
        }
    }

    /// @dev Writes a reply of a list; `index` is below its length, which is not checked again.
    function put(Reply[] memory replies, uint256 index, Reply reply) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(replies, 32), shl(5, index)), reply)
        }
    }

    function get(Reply[] memory replies, uint256 index) internal pure returns (Reply reply) {
        assembly ("memory-safe") {
            reply := mload(add(add(replies, 32), shl(5, index)))
        }
    }

    function _word(Quote quote, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(quote, offset))
        }
    }
}
