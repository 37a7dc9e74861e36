// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Products} from "./Products.sol";

/// @title Fleets of meters: all read, some silent, passed over, or with one bad step or row.
/// @notice What a fleet paid follows from its registers alone: by how much they rose since the start,
/// less what was read behind a skip. The model keeps no remainder.
abstract contract FleetFacts is Products {
    uint256 private constant WH_PER_KWH = 1_000;
    uint256 private constant FUSE_WATTS = 1_000;
    uint256 private constant MOST_AGE = type(uint16).max; // minutes
    uint256 private constant MOST_MEMBERS = 5;
    uint256 private constant MOST_SPAN = 2 days; // of a claim beyond its period

    uint8 private constant MALFORMED = 102; // of several that apply the lowest is answered
    uint8 private constant KIND_UNEXPECTED = 103;
    uint8 private constant PERIOD_UNEXPECTED = 104;
    uint8 private constant TIME_AHEAD = 105;
    uint8 private constant ROWS_UNKNOWN = 106;
    uint8 private constant COUNTER_STANDS = 107;
    uint8 private constant READING_OUTSIDE = 108;
    uint8 private constant FUSE_EXCEEDED = 109;
    uint8 private constant ROW_OVERFLOW = 110;
    uint8 private constant NOT_ACTIVE = 111;

    /// What may be wrong with terms.
    enum TermsFault {
        None,
        Foreign, // a member has another owner
        Head, // the head is a member
        Twice, // a member is named twice
        Half, // a row begins at half of what it holds
        Ahead, // the rows are of later than now
        Longer // a byte follows
    }

    /// A fleet as its claims leave it.
    struct Fleet {
        bool sound; // the terms
        uint256 price;
        uint256 period;
        uint256 start; // of the agreement; 0 from the first claim on
        uint256 time; // of the rows
        bool passed; // counters were passed over
        uint256 unpaid; // Wh that were read behind a skip
        FleetRow[] rows;
    }

    mapping(uint256 pact => Fleet) internal fleetOf;
    Fleet private _draft; // of the terms that were written last

    function _fleetTerms(Device storage head) internal returns (bytes memory terms) {
        TermsFault fault = _once(3) ? TermsFault(1 + _random(6)) : TermsFault.None;
        bytes32[] memory ids = _members(head, fault);
        delete _draft;
        (_draft.price, _draft.period) = (_once(3) ? 7 : 250_007, _once(3) ? 1 hours : 10 minutes);
        _draft.time = fault == TermsFault.Ahead ? clock + 1 : clock - _random(1 days);
        for (uint256 i; i < ids.length; ++i) {
            FleetRow memory row;
            (row.counter, row.register) = (uint32(_random(1e6)), uint40(_random(1e9)));
            if (_once(3)) row.age = uint16(MOST_AGE - _random(60));
            if (fault == TermsFault.Half && i == 0 && _once(2)) row.counter |= 1 << 31;
            else if (fault == TermsFault.Half && i == 0) row.register |= 1 << 39;
            row.began = row.register;
            _draft.rows.push(row);
        }
        bool same = fault == TermsFault.Twice && ids.length == 1; // it is named once
        _draft.sound = ids.length != 0 && (fault == TermsFault.None || same);
        terms = abi.encodePacked(
            uint8(1),
            uint8(0),
            uint32(_draft.price),
            uint32(FUSE_WATTS),
            uint32(_draft.period),
            uint32(_draft.time),
            bytes6(0x0100010800ff), // OBIS 1-0:1.8.0*255
            uint16(ids.length),
            ids,
            _rowBytes(_draft.rows)
        );
        if (fault == TermsFault.Longer) terms = bytes.concat(terms, hex"00");
    }

    function _termsSound(Kind kind) internal view override returns (bool) {
        return kind != Kind.Fleet || _draft.sound;
    }

    function _openFleet(uint256 pact) internal {
        fleetOf[pact] = _draft;
        fleetOf[pact].start = pacts[pact].start;
    }

    function _skipFleet(uint256 pact) internal {
        Fleet storage fleet_ = fleetOf[pact];
        if (fleet_.start != 0) _hit("state:fleet passed over before its first claim");
        fleet_.passed = true;
    }

    /// @dev Plans the next period of a fleet, or one with a fault; `until` is the latest that facts may
    /// speak of.
    function _planFleet(Plan memory plan, uint256 until) internal {
        Fleet storage fleet_ = fleetOf[plan.pact];
        uint8 fault = _once(3) ? uint8(MALFORMED + _random(NOT_ACTIVE - MALFORMED)) : 0;
        (uint256 from, uint256 to) = (fleet_.time, fleet_.time + fleet_.period);
        if (to < fleet_.start) to = fleet_.start;
        if (fault == PERIOD_UNEXPECTED) (from, to) = _once(2) ? (from - 1, to) : (from, to - 1);
        else if (to > until) _refuse(plan, TIME_AHEAD);
        else if (fault == TIME_AHEAD) to = until + 1;
        else to += _random(_least(until - to, MOST_SPAN) + 1);
        plan.statement.time = to;
        plan.rows = fleet_.rows;
        bytes memory rows = _rowBytes(plan.rows);
        if (fault == ROWS_UNKNOWN) rows[_random(rows.length)] ^= 0x01;
        uint256 bad = _random(plan.rows.length);
        bytes memory steps;
        for (uint256 i; i < plan.rows.length; ++i) {
            uint8 fault_ = i == bad ? fault : 0;
            steps = bytes.concat(steps, _step(plan, i, to / 60 - from / 60, fault_));
        }
        bool reads = fleet_.passed != (fault == KIND_UNEXPECTED);
        plan.facts =
            abi.encodePacked(uint8(1), uint8(reads ? 1 : 0), uint32(from), uint32(to), rows, steps);
        if (fault == MALFORMED && _once(2)) plan.facts = bytes.concat(plan.facts, hex"00");
        else if (fault == MALFORMED) plan.facts[_random(2)] = 0x02; // version or kind
        if (fault != 0) _refuse(plan, fault);
        if (!_isActive(devices[pacts[plan.pact].device], to)) _refuse(plan, NOT_ACTIVE);
        if (fleet_.passed) return;
        (uint256 before, uint256 price) = (_charged(fleet_), fleet_.price);
        uint256 paid = before * price / WH_PER_KWH;
        plan.amount = int256((before + plan.number) * price / WH_PER_KWH - paid);
    }

    /// @dev Takes over the rows once their claim is applied.
    function _applyFleet(Plan memory plan) internal returns (int256) {
        Fleet storage fleet_ = fleetOf[plan.pact];
        if (fleet_.passed) {
            fleet_.unpaid += plan.number;
            _hit("state:fleet read behind a skip");
        } else if (uint256(plan.amount) > plan.number * fleet_.price / WH_PER_KWH) {
            _hit("state:fleet charged by its remainder");
        }
        for (uint256 i; i < plan.rows.length; ++i) {
            FleetRow memory row = plan.rows[i];
            if (row.silent) _hit("state:member of a fleet silent");
            if (row.silent && row.age == MOST_AGE) _hit("state:silent member of the oldest age");
            if (!row.silent && fleet_.rows[i].silent) _hit("state:silent member speaks again");
            fleet_.rows[i] = row;
        }
        (fleet_.time, fleet_.start, fleet_.passed) = (plan.statement.time, 0, false);
        return plan.amount;
    }

    /// @dev What the rail keeps of a fleet.
    function _fleetNote(Fleet storage fleet_) internal view returns (uint256 note) {
        uint256 rest = _charged(fleet_) * fleet_.price % WH_PER_KWH;
        note = (fleet_.start == 0 ? rest << 32 : 1 << 64 | fleet_.start << 32) | fleet_.time;
        if (fleet_.passed) note |= 1 << 65;
    }

    /// @dev What a fleet's registers come to since the start.
    function _fleetCharge(Fleet storage fleet_) internal view returns (uint256) {
        return _charged(fleet_) * fleet_.price / WH_PER_KWH;
    }

    /// @dev What fleets have in common with others.
    function _fleetShared(uint256 pact) internal view returns (uint256) {
        Fleet storage fleet_ = fleetOf[pact];
        return fleet_.price << 80 | FUSE_WATTS << 48 | fleet_.period << 16 | fleet_.rows.length;
    }

    function _rowBytes(FleetRow[] memory rows) internal pure returns (bytes memory raw) {
        for (uint256 i; i < rows.length; ++i) {
            raw =
                bytes.concat(raw, abi.encodePacked(rows[i].counter, rows[i].register, rows[i].age));
        }
    }

    /// @dev Moves a row on by a step, and returns the step.
    function _step(Plan memory plan, uint256 member, uint256 elapsed, uint8 fault)
        private
        returns (bytes memory)
    {
        FleetRow memory row = plan.rows[member];
        uint256 oldest = elapsed + row.age;
        (uint256 counters, uint256 energy) = (1 + _random(5), 0);
        uint256 age = _once(2) ? 0 : _random(_least(elapsed, 60) + 1);
        uint256 most = FUSE_WATTS * (oldest - age + 1) / 60;
        bool outside = fault == READING_OUTSIDE;
        if (fault == FUSE_EXCEEDED) energy = most + 1;
        else if (fault == ROW_OVERFLOW) counters = (1 << 31) - row.counter;
        else if (outside && _once(2)) age = elapsed + 1;
        else if (outside || fault == COUNTER_STANDS || _once(4)) counters = 0;
        else energy = _once(8) ? most : _random(_least(most, 4_000) + 1);
        row.silent = counters == 0;
        if (row.silent) age = _least(oldest, MOST_AGE);
        if (outside && row.silent) --age;
        if (fault == COUNTER_STANDS) energy = 1 + _random(9);
        plan.number += energy;
        row.counter = uint32(row.counter + counters);
        row.register = uint40(row.register + energy);
        row.age = uint16(age);
        return abi.encodePacked(uint32(counters), uint40(energy), uint16(age));
    }

    function _refuse(Plan memory plan, uint8 refusal) private pure {
        if (plan.refusal == 0 || refusal < plan.refusal) plan.refusal = refusal;
    }

    /// @dev By how much the registers rose, but for what was read behind a skip.
    function _charged(Fleet storage fleet_) private view returns (uint256 energy_) {
        for (uint256 i; i < fleet_.rows.length; ++i) {
            energy_ += fleet_.rows[i].register - fleet_.rows[i].began;
        }
        energy_ -= fleet_.unpaid;
    }

    /// @dev Some of the devices that the head's owner has, in rising order; with a fault another one.
    function _members(Device storage head, TermsFault fault)
        private
        returns (bytes32[] memory ids)
    {
        ids = new bytes32[](1 + _random(MOST_MEMBERS));
        (uint256 count, uint256 from) = (0, _random(devices.length));
        for (uint256 i; i < 2 * devices.length && count < ids.length; ++i) {
            Device storage device = devices[(from + i) % devices.length];
            bool fits = device.owner == head.owner && device.id != head.id;
            if (count == 0 && fault == TermsFault.Foreign) fits = device.owner != head.owner;
            if (count == 0 && fault == TermsFault.Head) fits = device.id == head.id;
            uint256 place = count;
            while (place > 0 && ids[place - 1] > device.id) --place;
            if (!fits || (place > 0 && ids[place - 1] == device.id)) continue;
            for (uint256 j = count++; j > place; --j) {
                ids[j] = ids[j - 1];
            }
            ids[place] = device.id;
        }
        assembly ("memory-safe") {
            mstore(ids, count)
        }
        if (fault == TermsFault.Twice && count > 1) ids[count - 1] = ids[0];
    }
}
