// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProduct} from "../../../contracts/interfaces/IProduct.sol";
import {Quote, Quotes, Reply} from "../../../contracts/libraries/Quotes.sol";
import {Row, Rows} from "../../../contracts/libraries/Rows.sol";

/// The library's functions, for comparison with the bits that its comment names.
contract RowParts {
    /// Everything that can be read: status, steady, sequence, counter, note, escrow, spent, expiryDay.
    function parts(Row row) external pure returns (uint256[8] memory read) {
        read[0] = row.status();
        read[1] = row.steady() ? 1 : 0;
        read[2] = row.sequence();
        read[3] = row.counter();
        read[4] = row.note();
        read[5] = row.escrow();
        read[6] = row.spent();
        read[7] = row.expiryDay();
    }

    /// Whether it is one at all, and whether claims may come.
    function stands(Row row) external pure returns (bool, bool) {
        return (row.exists(), row.isLive());
    }

    function fresh(uint256 counter, uint256 period, uint256 expiryDay, bool steady, uint80 note)
        external
        pure
        returns (Row)
    {
        return Rows.fresh(counter, period, expiryDay, steady, note);
    }

    function closed(Row row) external pure returns (Row) {
        return row.closed();
    }

    function unsteady(Row row) external pure returns (Row) {
        return row.unsteady();
    }

    function withSequence(Row row, uint256 value) external pure returns (Row) {
        return row.withSequence(value);
    }

    function withCounter(Row row, uint256 value) external pure returns (Row) {
        return row.withCounter(value);
    }

    function withNote(Row row, uint80 value) external pure returns (Row) {
        return row.withNote(value);
    }

    function withEscrow(Row row, uint256 value) external pure returns (Row) {
        return row.withEscrow(value);
    }

    function withSpent(Row row, uint256 value) external pure returns (Row) {
        return row.withSpent(value);
    }

    function withExpiryDay(Row row, uint256 value) external pure returns (Row) {
        return row.withExpiryDay(value);
    }

    function inPeriod(Row row, uint256 number) external pure returns (Row) {
        return row.inPeriod(number);
    }

    function claimed(Row row, uint256 sequence, uint256 counter, uint80 note)
        external
        pure
        returns (Row)
    {
        return row.claimed(sequence, counter, note);
    }

    function charged(Row row, uint256 amount, uint256 cap) external pure returns (Row) {
        return row.charged(amount, cap);
    }

    function precedes(Row row, uint256 sequence) external pure returns (bool) {
        return row.precedes(sequence);
    }

    function isReady(Row row, uint256 sequence, uint256 first, uint256 last, uint256 day)
        external
        pure
        returns (bool)
    {
        return row.isReady(sequence, first, last, day);
    }
}

/// A product that keeps a note in the rail: terms are the first one, facts the amount and the next,
/// abi.encode(int48, uint80). Its events say what it was given back.
contract NotingProduct is IProduct {
    uint8 public constant traits = 0;

    event NoteHeard(bytes32 indexed agreement, uint80 note);

    constructor(address, address) {}

    function name() external pure returns (string memory) {
        return "noting";
    }

    function version() external pure returns (uint8) {
        return 1;
    }

    function refusalName(uint8) external pure returns (string memory) {
        return "";
    }

    function open(bytes32, bytes32, uint40, bytes calldata terms)
        external
        pure
        returns (uint32, uint256, uint80)
    {
        return (0, 0, abi.decode(terms, (uint80)));
    }

    function refunded(bytes32, uint48) external {}

    /// The next note has every bit of the present one turned.
    function skipped(bytes32 agreement, uint80 note) external returns (uint80) {
        emit NoteHeard(agreement, note);
        return ~note;
    }

    function price(uint256[] calldata, uint256 count, bytes calldata quotes)
        external
        returns (Reply[] memory replies)
    {
        replies = new Reply[](count);
        Quote quote = Quotes.first(quotes);
        for (uint256 i; i < count; ++i) {
            (int48 amount, uint80 note) = abi.decode(quote.facts(), (int48, uint80));
            bool over = amount > int256(uint256(quote.limit()));
            replies[i] = over ? Quotes.refused(1) : Quotes.priced(amount, note);
            emit NoteHeard(quote.agreement(), quote.note());
            quote = quote.next();
        }
    }
}
