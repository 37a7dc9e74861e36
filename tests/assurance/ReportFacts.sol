// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Products} from "./Products.sol";

/// @title Reports of periods: each charged once, stated again for the difference, or bad.
/// @notice A tariff of one curve and one factor; three of them, which agreements share.
abstract contract ReportFacts is Products {
    uint256 private constant SHORTEST = 10 minutes;
    uint256 private constant LONGEST = 3 days;
    uint256 private constant COVERAGE = 9_000; // basis points
    uint256 private constant SOURCES = 2;
    uint256 private constant TARIFFS = 3;
    uint256 private constant CEILING = 8 * EURO;
    uint256 private constant MOST_DRIVEN = 3_000;
    uint256 private constant MOST_HARSH = 100;

    uint8 private constant MALFORMED = 102;
    uint8 private constant PERIOD_UNEXPECTED = 103;
    uint8 private constant TIME_AHEAD = 104;
    uint8 private constant METRIC_OUTSIDE = 105;
    uint8 private constant COVERAGE_SHORT = 106;
    uint8 private constant SOURCES_SHORT = 107;
    uint8 private constant NOT_ACTIVE = 108;

    /// What a report says.
    struct Report {
        uint256 from;
        uint256 to;
        uint256 coverage;
        uint256 sources;
        uint256 driven;
        uint256 harsh;
    }

    /// An agreement that reports are charged to.
    struct Policy {
        uint256 tariff; // 0 to 2
        uint256 end; // of the last period; before, the agreement's start
        bool charged; // whether there was a period
        uint256 amount; // that the last report of the period comes to
        uint256 paid; // what was charged for the period, less what was given back
        uint256 refunded;
        bytes32 shared; // what the product keeps in common
    }

    mapping(uint256 pact => Policy) internal policyOf;

    function _reportTerms() internal returns (bytes memory) {
        bytes memory tariff = _tariff(_random(TARIFFS));
        return bytes.concat(
            abi.encodePacked(uint8(1), uint16(tariff.length)),
            tariff,
            abi.encodePacked(uint8(0), uint8(8), "policy:1")
        );
    }

    function _openPolicy(uint256 pact, bytes memory terms) internal {
        Policy storage policy = policyOf[pact];
        policy.end = pacts[pact].start;
        bytes32 whole = keccak256(terms);
        for (uint256 i; i < TARIFFS; ++i) {
            bytes memory tariff = _tariff(i);
            bytes memory head = abi.encodePacked(uint8(1), uint16(tariff.length));
            bytes memory rest = abi.encodePacked(uint8(0), uint8(8), "policy:1");
            if (keccak256(bytes.concat(head, tariff, rest)) == whole) policy.tariff = i;
        }
        // the init code of a contract whose code is the tariff
        bytes memory code = bytes.concat(hex"600b5981380380925939f3", _tariff(policy.tariff));
        policy.shared = keccak256(code);
    }

    /// @dev Plans the next period, the last one again, or a fault; `until` is the latest that facts
    /// may speak of.
    function _planReport(Plan memory plan, uint256 until) internal {
        Policy storage policy = policyOf[plan.pact];
        Report memory report = _honest();
        bool again = policy.charged && (_once(3) || (policy.refunded != 0 && !_once(4)));
        uint256 begin = policy.end;
        if (again) {
            (report.from, report.to) = (begin - SHORTEST - _random(1 days), begin);
        } else {
            if (_once(4)) begin += _random(1 hours);
            uint256 most = begin + LONGEST < until ? begin + LONGEST : until;
            report.from = begin;
            bool fits = begin + SHORTEST <= most;
            report.to = begin + SHORTEST + (fits ? _random(most - begin - SHORTEST + 1) : 0);
            if (!fits) plan.refusal = TIME_AHEAD;
        }
        if (_once(6)) _spoil(plan, report, policy, until);
        plan.facts = _written(report);
        if (plan.refusal == MALFORMED) plan.facts = bytes.concat(plan.facts, hex"00");
        bool judged = plan.refusal != 0 && plan.refusal != PERIOD_UNEXPECTED;
        bool ahead = report.to > until && report.to - report.from <= LONGEST;
        if (!judged && ahead) plan.refusal = TIME_AHEAD;
        bool silenced = !_isActive(devices[pacts[plan.pact].device], report.to);
        bool long_ = report.to - report.from > LONGEST;
        if (silenced && !judged && !ahead && !long_) plan.refusal = NOT_ACTIVE;
        plan.number = _amountOf(policy.tariff, report);
        plan.amount = int256(plan.number);
        if (report.to == policy.end) plan.amount -= int256(policy.amount);
        plan.statement.time = report.to;
    }

    /// @dev Takes over the policy once its claim is applied. Returns what it gives back, when what was
    /// refunded before is left out.
    function _applyReport(Plan memory plan) internal returns (int256 amount) {
        Policy storage policy = policyOf[plan.pact];
        bool again = plan.statement.time == policy.end;
        _rule("a period is charged once", again ? policy.charged : plan.statement.time > policy.end);
        amount = plan.amount;
        policy.paid = uint256(int256(again ? policy.paid : 0) + amount);
        (policy.end, policy.charged, policy.amount) = (plan.statement.time, true, plan.number);
        if (again) _hit("state:report stated again");
        (uint256 floor, uint256 paid) = (_floorOf(policy.tariff), policy.paid);
        _rule("a period stays within floor and ceiling", paid >= floor && paid <= CEILING);
        _rule("a report stated again costs the difference", paid == plan.number);
        if (paid == floor) _hit("state:report at the floor");
        if (paid == CEILING) _hit("state:report at the ceiling");
        if (amount >= 0) return amount;
        uint256 offset = uint256(-amount) < policy.refunded ? uint256(-amount) : policy.refunded;
        if (offset != 0) _hit("state:correction of a refunded report");
        policy.refunded -= offset;
        amount += int256(offset);
    }

    /// @dev What the rail keeps of a policy: where its last period ended and what it came to.
    function _policyNote(Policy storage policy) internal view returns (uint256) {
        if (!policy.charged) return policy.end;
        return 1 << 76 | policy.amount << 32 | policy.end;
    }

    function _honest() private returns (Report memory report) {
        report.coverage = COVERAGE + _random(10_001 - COVERAGE);
        report.sources = SOURCES + _random(3);
        report.driven = _random(_once(3) ? 10 : MOST_DRIVEN + 1);
        report.harsh = _random(MOST_HARSH + 1);
    }

    /// @dev One fault; the period is as it was, but where the fault is the period.
    function _spoil(Plan memory plan, Report memory report, Policy storage policy, uint256 until)
        private
    {
        uint256 fault = _random(6);
        if (fault == 0) plan.refusal = MALFORMED;
        if (fault == 1) (report.harsh, plan.refusal) = (MOST_HARSH + 1, METRIC_OUTSIDE);
        if (fault == 2) (report.coverage, plan.refusal) = (COVERAGE - 1, COVERAGE_SHORT);
        if (fault == 3) (report.sources, plan.refusal) = (SOURCES - 1, SOURCES_SHORT);
        if (fault == 4) {
            (report.from, plan.refusal) = (report.to - LONGEST - 1, PERIOD_UNEXPECTED);
        }
        if (fault == 5 && policy.end + SHORTEST <= until) { // it overlaps by a second
            (report.from, report.to) = (policy.end - 1, policy.end + SHORTEST);
            plan.refusal = PERIOD_UNEXPECTED;
        }
    }

    function _written(Report memory report) private pure returns (bytes memory) {
        return abi.encodePacked(
            uint32(report.from),
            uint32(report.to),
            uint16(report.coverage),
            uint16(report.sources),
            int64(uint64(report.driven)),
            int64(uint64(report.harsh))
        );
    }

    /// @dev Nine euro for the first thousand, a euro and a half for each further one; each harsh event
    /// takes 75/70 of a percent, rounded up, at most 75.
    function _amountOf(uint256 tariff, Report memory report) private pure returns (uint256 amount) {
        uint256 driven = report.driven;
        amount = driven <= 1_000
            ? driven * 9 * EURO / 1_000
            : 9 * EURO + (driven - 1_000) * 3 * EURO / 2_000;
        uint256 harsh = report.harsh < 70 ? report.harsh : 70;
        amount = (amount + _baseOf(tariff)) * (10_000 - (7_500 * harsh + 69) / 70) / 10_000;
        if (amount > CEILING) amount = CEILING;
        if (amount < _floorOf(tariff)) amount = _floorOf(tariff);
    }

    function _baseOf(uint256 tariff) private pure returns (uint256) {
        return tariff * 700_001;
    }

    function _floorOf(uint256 tariff) private pure returns (uint256) {
        return tariff == 1 ? EURO / 2 : 0;
    }

    function _tariff(uint256 tariff) private pure returns (bytes memory) {
        bytes memory head = abi.encodePacked(
            uint8(2), // metrics
            uint8(2), // curves
            uint16(COVERAGE),
            uint16(SOURCES),
            uint32(SHORTEST),
            uint32(LONGEST),
            uint48(_baseOf(tariff)),
            uint48(_floorOf(tariff)),
            uint48(CEILING)
        );
        bytes memory bounds =
            abi.encodePacked(int64(0), uint64(MOST_DRIVEN), int64(0), uint64(MOST_HARSH));
        bytes memory rising = abi.encodePacked(
            uint24(0x000203), _knot(0, 0), _knot(1_000, 9 * EURO), _knot(3_000, 12 * EURO)
        );
        bytes memory falling =
            abi.encodePacked(uint24(0x010502), _knot(0, 10_000), _knot(70, 2_500));
        bytes memory names = abi.encodePacked(uint8(6), "driven", uint8(5), "harsh", uint8(0));
        return bytes.concat(head, bounds, rising, falling, names);
    }

    function _knot(uint256 x, uint256 y) private pure returns (bytes memory) {
        return abi.encodePacked(uint64(x), uint48(y));
    }
}
