// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JsonText} from "./JsonText.sol";
import {OcmfFields} from "./OcmfFields.sol";

/// @title Reads an OCMF record: its meter, its counter, its readings and its signature.
/// @notice OCMF|{payload}|{signature}, in plain text, as the meter made it. Only members of the
/// payload itself, of the objects in its list RD and of the signature count; what lies in other
/// objects or in strings is passed over. A reading takes over TM, TX, RI, RU and ST from the one
/// before it where it has none (OCMF, table 7).
/// Refused (`RecordUnreadable`) is what oracles read by further rules, or not at all: escapes in
/// names, a member twice, values of another type, other spellings of numbers and times.
library OcmfRecord {
    using JsonText for bytes;

    /// One reading, with what it took over.
    struct Reading {
        JsonText.Span value; // RV, where it is a number
        JsonText.Span time;
        JsonText.Span mark;
        JsonText.Span obis;
        JsonText.Span unit;
        JsonText.Span status;
        JsonText.Span flags; // EF, which is not taken over
        bool valued; // it has a value, of any type
    }

    struct Record {
        bytes text;
        JsonText.Span content; // the signed text
        JsonText.Span meter; // MS
        JsonText.Span gateway; // GS
        JsonText.Span page; // PG
        JsonText.Span algorithm; // SA
        JsonText.Span signature; // SD
        Reading[] readings;
        uint256 count;
    }

    uint256 private constant MOST_READINGS = 32;

    /// @dev Reads the whole record.
    function read(bytes memory text) internal pure returns (Record memory record) {
        record.text = text;
        bool headed = text.char(0) == 0x4f && text.char(1) == 0x43 && text.char(2) == 0x4d
            && text.char(3) == 0x46 && text.char(4) == 0x7c;
        if (!headed) revert JsonText.RecordUnreadable(0);
        uint256 at = _members(record, 5, _payload);
        record.content = JsonText.Span(5, at);
        at = _members(record, text.expect(at, "|"), _signature);
        if (at != text.length || record.count == 0) revert JsonText.RecordUnreadable(at);
    }

    /// @dev keccak256 of the device's name: the meter's serial number, else the gateway's.
    function device(Record memory record) internal pure returns (bytes32) {
        JsonText.Span memory name = record.meter;
        if (name.from == name.to) name = record.gateway;
        if (name.from == name.to) revert JsonText.RecordUnreadable(0);
        return record.text.hash(name);
    }

    /// @dev The device's counter.
    function counter(Record memory record) internal pure returns (uint40) {
        return OcmfFields.counter(record.text, record.page);
    }

    /// @dev When the record was made: the time of its last reading, which has to be one of energy.
    function observedAt(Record memory record) internal pure returns (uint40) {
        Reading memory last = record.readings[record.count - 1];
        bool energy = last.valued && last.obis.from != 0
            && OcmfFields.isEnergy(OcmfFields.register(record.text, last.obis));
        if (!energy || last.time.from == 0) revert JsonText.RecordUnreadable(last.obis.from);
        return OcmfFields.time(record.text, last.time);
    }

    /// @dev Whether every reading is a good one: none that the meter reports an error with, none
    /// that is estimated, none of an exchanged meter.
    function isClean(Record memory record) internal pure returns (bool) {
        for (uint256 i; i < record.count; ++i) {
            Reading memory reading = record.readings[i];
            bool good = reading.valued && reading.status.from != 0
                && record.text.equals(reading.status, "G")
                && reading.flags.from == reading.flags.to
                && !(reading.mark.from != 0 && record.text.equals(reading.mark, "X"));
            if (!good) return false;
        }
        return true;
    }

    /// @dev The first (or last) reading of a register, and how many begin a session (mark B).
    function ofRegister(Record memory record, uint48 code, bool last)
        internal
        pure
        returns (bool found, Reading memory chosen, uint256 begins)
    {
        for (uint256 i; i < record.count; ++i) {
            Reading memory reading = record.readings[i];
            if (reading.obis.from == 0) revert JsonText.RecordUnreadable(reading.value.from);
            if (OcmfFields.register(record.text, reading.obis) != code) continue;
            if (last || !found) chosen = reading;
            found = true;
            if (reading.mark.from != 0 && record.text.equals(reading.mark, "B")) ++begins;
        }
    }

    /// @dev Calls `visit` for every member of the object at `at`; returns the position after it.
    function _members(
        Record memory record,
        uint256 at,
        function(Record memory, uint256, uint256) internal pure returns (uint256) visit
    ) private pure returns (uint256) {
        bytes memory text = record.text;
        at = text.past(text.expect(at, "{"));
        if (text.char(at) == 0x7d) return at + 1;
        while (true) {
            JsonText.Span memory name = text.plain(at);
            at = text.past(text.expect(text.past(name.to + 1), ":"));
            at = text.past(visit(record, text.key(name), at));
            if (text.char(at) == 0x7d) return at + 1;
            at = text.past(text.expect(at, ","));
        }
        return at;
    }

    /// @dev A member of the payload; returns the position after its value.
    function _payload(Record memory record, uint256 key, uint256 at)
        private
        pure
        returns (uint256)
    {
        if (key == 0x5244) return _list(record, at); // RD
        if (key == 0x4d53) return _take(record.text, record.meter, at); // MS
        if (key == 0x4753) return _take(record.text, record.gateway, at); // GS
        if (key == 0x5047) return _take(record.text, record.page, at); // PG
        return record.text.skip(at);
    }

    function _signature(Record memory record, uint256 key, uint256 at)
        private
        pure
        returns (uint256)
    {
        if (key == 0x5341) return _take(record.text, record.algorithm, at); // SA
        if (key == 0x5344) return _take(record.text, record.signature, at); // SD
        return record.text.skip(at);
    }

    function _list(Record memory record, uint256 at) private pure returns (uint256) {
        bytes memory text = record.text;
        if (record.count != 0) revert JsonText.RecordUnreadable(at);
        record.readings = new Reading[](MOST_READINGS);
        at = text.past(text.expect(at, "["));
        while (true) {
            if (record.count == MOST_READINGS) revert JsonText.RecordUnreadable(at);
            Reading memory next = record.readings[record.count++];
            at = text.past(_members(record, at, _reading));
            if (record.count > 1) _takeOver(next, record.readings[record.count - 2]);
            if (text.char(at) == 0x5d) return at + 1;
            at = text.past(text.expect(at, ","));
        }
        return at;
    }

    function _reading(Record memory record, uint256 key, uint256 at)
        private
        pure
        returns (uint256)
    {
        bytes memory text = record.text;
        Reading memory reading = record.readings[record.count - 1];
        if (key == 0x5256) return _value(text, reading, at); // RV
        if (key == 0x544d) return _take(text, reading.time, at); // TM
        if (key == 0x5458) return _take(text, reading.mark, at); // TX
        if (key == 0x5249) return _take(text, reading.obis, at); // RI
        if (key == 0x5255) return _take(text, reading.unit, at); // RU
        if (key == 0x5354) return _take(text, reading.status, at); // ST
        if (key == 0x4546) return _take(text, reading.flags, at); // EF
        return text.skip(at);
    }

    function _value(bytes memory text, Reading memory reading, uint256 at)
        private
        pure
        returns (uint256 end)
    {
        if (reading.valued) revert JsonText.RecordUnreadable(at);
        reading.valued = true;
        end = text.skip(at);
        uint256 c = text.char(at);
        bool number = c == 0x2d || (c >= 0x30 && c <= 0x39);
        if (number) (reading.value.from, reading.value.to) = (at, end);
    }

    /// @dev Fills a span with a string, once.
    function _take(bytes memory text, JsonText.Span memory span, uint256 at)
        private
        pure
        returns (uint256)
    {
        if (span.from != 0) revert JsonText.RecordUnreadable(at);
        JsonText.Span memory read_ = text.plain(at);
        (span.from, span.to) = (read_.from, read_.to);
        return read_.to + 1;
    }

    function _takeOver(Reading memory reading, Reading memory earlier) private pure {
        if (reading.time.from == 0) reading.time = earlier.time;
        if (reading.mark.from == 0) reading.mark = earlier.mark;
        if (reading.obis.from == 0) reading.obis = earlier.obis;
        if (reading.unit.from == 0) reading.unit = earlier.unit;
        if (reading.status.from == 0) reading.status = earlier.status;
    }
}
