// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Model} from "./Model.sol";

/// @title What the handlers of the three products have in common: plans of claims.
abstract contract Products is Model {
    uint256 internal constant MAX_AGE = 7 days; // of vouchers
    uint256 internal constant REPORT_GRACE = 7 days; // after the end, for the last report
    uint256 internal constant CLOCK_GRACE = 10 minutes; // that a device's clock may be ahead
    uint8 internal constant UNKNOWN = 255; // the model does not say whether a claim is refused

    /// A claim before it is settled: what it says, and what the model says of it.
    struct Plan {
        uint256 pact;
        uint256 sequence;
        uint256 firstCounter;
        uint256 lastCounter;
        bytes facts;
        uint8 refusal; // the product's own, from 100; 0: priced; UNKNOWN
        bool guessed; // only the bounds of the amount are known, not the amount
        int256 amount; // before what the agreement can give back bounds a correction
        address payee;
        uint256 number; // the product's own memo
        Meter meter; // the meter after the claim
        Statement statement;
        FleetRow[] rows; // of a fleet, after the claim
    }

    /// A member of a fleet, as its last reading left it.
    struct FleetRow {
        uint32 counter;
        uint40 register; // Wh
        uint16 age; // minutes that it was read before the rows' time
        uint40 began; // the register at the start
        bool silent; // in the last claim
    }

    /// How far a meter is charged in an agreement.
    struct Meter {
        bool continuous;
        bool anchored;
        uint256 register; // mWh
        uint256 time;
        int256 ahead; // mWh charged beyond the register; below zero: passed by uncharged
        uint256 energy; // mWh charged
        uint256 exact; // millionths: what was charged, and what waits for a whole minor unit
        bool noted; // ever: the rail kept its state
        uint256 price; // token minor units per kWh
        uint256 refunded;
        uint256 gapFirst; // counters that the last claim passed by; 0: none
        uint256 gapLast;
    }

    /// What a recipient states of a delivery.
    struct Statement {
        bytes32 name;
        uint256 received;
        uint256 accepted;
        uint256 pickedUpAt;
        uint256 time;
        bool stands;
        bool withdraws;
    }

    /// @dev A charge; or a correction, at times of more than was ever charged.
    function _planPlain(Plan memory plan) internal {
        uint256 charged = pacts[plan.pact].charged;
        plan.amount = int256(1 + _random(8 * EURO));
        if (charged != 0 && _once(3)) plan.amount = -int256(1 + _random(2 * charged));
        plan.facts = abi.encode(plan.amount);
    }

    function _least(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }

    function _terms(Device storage device) internal virtual returns (bytes memory);
    function _termsSound(Kind kind) internal view virtual returns (bool);
    function _opened(uint256 pact, bytes memory terms) internal virtual;
    function _skipped(uint256 pact) internal virtual;
    function _refunded(uint256 pact, uint256 amount) internal virtual;
}
