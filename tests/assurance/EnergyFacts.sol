// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Products} from "./Products.sol";

/// @title Meters that count on: readings, estimates with corrections, stretches that come late.
/// @notice The amount follows from all energy so far: floor(energy x price) less what was charged,
/// where the energy below the first reading leaves over what it would have of a minor unit.
abstract contract EnergyFacts is Products {
    uint256 private constant FUSE_WATTS = 300_000;
    uint256 private constant MWH_PER_KWH = 1e6;
    bytes6 private constant REGISTER = 0x0100010800ff; // OBIS 1-0:1.8.0*255

    uint8 private constant ACTUAL = 0;
    uint8 private constant ESTIMATED = 1;
    uint8 private constant LATE = 3;

    mapping(uint256 pact => Meter) internal meterOf;

    function _energyTerms() internal returns (bytes memory) {
        uint8 continuous = _once(4) ? 0 : 1;
        uint32 price = _once(2) ? 250_007 : uint32(100_000 + _random(400_000));
        bytes memory head = abi.encodePacked(
            uint8(3), continuous, uint8(0), uint8(0), uint32(FUSE_WATTS), uint64(0), uint32(0)
        );
        bytes memory lists =
            abi.encodePacked(uint8(1), uint8(1), uint64(0), uint8(0), uint32(0), price);
        return bytes.concat(head, lists);
    }

    function _openMeter(uint256 pact, bytes memory terms) internal {
        Meter storage meter = meterOf[pact];
        meter.continuous = terms[1] != 0;
        meter.time = pacts[pact].start;
        for (uint256 i; i < 4; ++i) {
            meter.price = meter.price << 8 | uint8(terms[terms.length - 4 + i]);
        }
    }

    /// @dev Plans the next claim of a metered agreement; the time of its last reading is `until`.
    function _planEnergy(Plan memory plan, uint256 until) internal {
        Meter memory meter = meterOf[plan.pact];
        if (!meter.anchored && meter.register == 0) meter.register = 1 + _random(1e9);
        plan.meter = meterOf[plan.pact]; // a copy of its own: what will be after the claim
        plan.meter.register = meter.register;
        if (meter.continuous) _planContinuous(plan, meter, until);
        else if (meter.gapFirst != 0 && _once(2)) _planLate(plan, meter);
        else _planSession(plan, meter, until);
        (uint256 exact, uint256 charged) = (meter.exact, meter.exact / MWH_PER_KWH);
        if (!meter.anchored && uint8(plan.facts[1]) != LATE) {
            exact = charged * MWH_PER_KWH + meter.register * meter.price % MWH_PER_KWH;
        }
        int256 owed = (int256(plan.meter.energy) - int256(meter.energy)) * int256(meter.price);
        plan.meter.exact = uint256(int256(exact) + owed);
        plan.amount = int256(plan.meter.exact / MWH_PER_KWH) - int256(charged);
    }

    /// @dev The state of a meter as the rail should keep it; 0: in the product, since the register
    /// alone does not say it.
    function _noteOf(Meter memory meter) internal pure returns (uint256) {
        uint256 rest = meter.register * meter.price % MWH_PER_KWH;
        bool plain = meter.anchored && meter.ahead == 0 && meter.exact % MWH_PER_KWH == rest;
        return plain ? meter.register << 32 | meter.time : 0;
    }

    /// @dev Takes over the meter's state once its claim is applied. Returns what the correction
    /// gives back, when what was refunded before is left out.
    function _applyEnergy(Plan memory plan) internal returns (int256 amount) {
        amount = plan.amount;
        Meter storage meter = meterOf[plan.pact];
        if (uint8(plan.facts[1]) == ESTIMATED) {
            if (meter.ahead > 0) _hit("state:estimate upon estimate");
            else plan.meter.refunded = 0; // older refunds are forgotten
        }
        if (uint8(plan.facts[1]) == LATE) _hit("state:late stretch settled");
        if (amount < 0) {
            _hit("state:estimate corrected downwards");
            uint256 offset = _least(uint256(-amount), plan.meter.refunded);
            if (offset != 0) _hit("state:correction of a refunded charge");
            plan.meter.refunded -= offset;
            amount += int256(offset);
        }
        bool before = _noteOf(meter) != 0;
        bool noted = _noteOf(plan.meter) != 0;
        if (before && !noted) _hit("state:note given up");
        if (!before && noted && meter.noted) _hit("state:note taken again");
        plan.meter.noted = meter.noted || noted;
        meterOf[plan.pact] = plan.meter;
    }

    function _skipMeter(uint256 pact) internal {
        Meter storage meter = meterOf[pact];
        (meter.anchored, meter.ahead) = (false, meter.ahead > 0 ? int256(0) : meter.ahead);
    }

    /// @dev A reading above the last one, or an estimate; after an estimate the reading is lower
    /// half of the time, and the difference is a debt.
    function _planContinuous(Plan memory plan, Meter memory meter, uint256 until) private {
        uint256 from = meter.time;
        uint256 to = until > from ? until : from;
        uint256 most = _fuse(from, to);
        if (meter.ahead > 0 && _once(2)) most = _least(most, uint256(meter.ahead));
        uint256 rise = _random(most + 1);
        uint8 kind = _once(3) ? ESTIMATED : ACTUAL;
        if (_once(2)) rise -= rise % MWH_PER_KWH; // leaves over what the register did before
        int256 energy = int256(rise) - meter.ahead;
        plan.facts = _facts(kind, from, to, meter.register, meter.register + rise, energy);
        Meter memory next = plan.meter;
        next.energy = uint256(int256(meter.energy) + energy);
        next.anchored = true;
        next.ahead = kind == ESTIMATED ? int256(rise) : int256(0);
        if (kind == ACTUAL) (next.register, next.time) = (meter.register + rise, to);
    }

    /// @dev A session; the register may have risen between two of them, uncharged.
    function _planSession(Plan memory plan, Meter memory meter, uint256 until) private {
        uint256 from = meter.time;
        uint256 to = until > from ? until : from;
        uint256 gap = _once(2) && meter.anchored ? _random(5e6) : 0;
        if (_once(2)) gap -= gap % MWH_PER_KWH;
        uint256 rise = _random(_fuse(from, to) + 1);
        uint256 begin = meter.register + gap;
        plan.facts = _facts(ACTUAL, from, to, begin, begin + rise, int256(rise));
        Meter memory next = plan.meter;
        if (gap != 0) {
            (next.gapFirst, plan.firstCounter) = (plan.firstCounter, plan.firstCounter + 3);
            (next.gapLast, plan.lastCounter) = (plan.firstCounter - 1, plan.lastCounter + 3);
        }
        (next.energy, next.anchored) = (meter.energy + rise, true);
        (next.register, next.time) = (begin + rise, to);
        next.ahead -= int256(gap);
    }

    /// @dev A session whose counters later claims passed by: charged as far as its energy was not.
    function _planLate(Plan memory plan, Meter memory meter) private {
        uint256 from = pacts[plan.pact].start;
        uint256 rise = _random(_least(_fuse(from, meter.time), 6e6) + 1);
        (plan.firstCounter, plan.lastCounter) = (meter.gapFirst, meter.gapLast);
        plan.facts =
            _facts(LATE, from, meter.time, meter.register, meter.register + rise, int256(rise));
        uint256 charged = _least(rise, meter.ahead < 0 ? uint256(-meter.ahead) : 0);
        Meter memory next = plan.meter;
        (next.gapFirst, next.gapLast) = (0, 0);
        (next.energy, next.ahead) = (meter.energy + charged, meter.ahead + int256(charged));
    }

    /// @dev What the fuse lets through, at most 12 kWh a claim.
    function _fuse(uint256 from, uint256 to) private pure returns (uint256) {
        return _least(FUSE_WATTS * (to - from + 60) * 10 / 36, 12e6);
    }

    function _facts(uint8 kind, uint256 from, uint256 to, uint256 begin, uint256 end, int256 energy)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(
            uint8(3),
            kind,
            uint32(from),
            uint32(to),
            REGISTER,
            uint64(begin),
            uint64(end),
            int64(energy)
        );
    }
}
