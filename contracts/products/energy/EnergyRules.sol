// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Facts, Kind, OneStep, Step} from "./EnergyBytes.sol";
import {EnergyTerms} from "./EnergyTerms.sol";

/// Of a band; Open keeps its slot non-zero: the first claim costs what the next ones do.
enum Stage {
    None,
    Open, // any register may come first
    Anchored
}

/// How far one band is charged: one slot.
struct State {
    uint64 register; // the last actual reading that a claim ended with
    int64 ahead; // mWh charged beyond the register (estimates), or below zero: passed uncharged
    uint32 time; // of that reading
    uint24 remainder; // what is charged once a minor unit is whole: millionths of one
    Stage stage;
}

/// What a claim does to one band, or the reason of a refusal.
struct Charge {
    Answer answer;
    int256 energy; // mWh charged, below zero for a debt
    int256 flow; // mWh that had to pass the fuse
    int256 ahead; // after the claim
}

/// 1 is IProduct's OVER_LIMIT; the order is what `refusalName` and the rail's 100 + n speak of.
enum Answer {
    Priced,
    OverLimit,
    FactsMalformed,
    RegisterBackwards,
    RegisterDiscontinuous, // does not begin with the last actual reading
    EnergyAboveRegister,
    EnergyIncomplete,
    TimeBackwards, // before the agreement's start, or before what was charged
    FuseExceeded,
    KindUnexpected, // late facts of counters that are not, or an estimate of sessions
    DeviceNotActive, // at the time of the last reading, by the registry
    RegisterNotAgreed, // none is named, it counts the other direction or in a band without a
    // price, or continuous terms need one that runs on
    TimeAhead, // after the agreement's end, or later than now
    LateCountersUnknown // late counters in no gap that is open: paid before, or too old
}

/// @title What a claim about one band does: whether its readings may follow those before, what it
/// charges in mWh, and the state after it. Nothing here reads or writes storage.
library EnergyRules {
    int256 private constant MWH_PER_KWH = 1_000_000;
    uint256 private constant GRACE_SECONDS = 60; // meters stamp whole minutes
    uint48 private constant ACTIVE_ENERGY = 8; // group D: a register that counts up
    uint256 private constant ELECTRICITY = 1 << 40; // group A
    uint256 private constant GROUPS_A_D_E = 0xff0000ffff00;
    // sets of groups C, a bit for each
    uint256 private constant OF_ONE_SESSION = (3 << 0xb2) | (3 << 0xc2);
    uint256 private constant IMPORTS = (1 << 0x01) | (1 << 0x98) | (1 << 0x9e) | (0xf << 0xb0);
    uint256 private constant EXPORTS = (1 << 0x02) | (0xf << 0xc0);

    /// @dev Nothing before the start counts, but for the energy since the start register was read,
    /// and nothing that has not happened yet.
    function began(EnergyTerms terms, Facts memory facts, uint32 start, uint32 startedAt)
        internal pure returns (bool)
    {
        return facts.from >= start
            || (terms.continuous() && facts.from == startedAt && facts.to >= start);
    }

    /// @dev Moves a band on, and says what it owes: rounded down, and what is left of a minor unit
    /// is charged once the unit is whole.
    function advance(
        State memory state,
        Facts memory facts,
        Step memory step,
        Charge memory charge,
        uint256 price_
    ) internal pure returns (bool fits, int256 owed) {
        fits = charge.ahead == int64(charge.ahead);
        bool begins = state.stage == Stage.Open && facts.kind != Kind.Late
            && !_ofOneSession(step.register);
        uint256 left = begins ? restOf(step.from, price_) : state.remainder;
        int256 exact = int256(left) + charge.energy * int256(price_);
        owed = exact / MWH_PER_KWH;
        if (exact < owed * MWH_PER_KWH) --owed;
        state.remainder = uint24(uint256(exact - owed * MWH_PER_KWH));
        state.ahead = int64(charge.ahead);
        if (facts.kind == Kind.Late) return (fits, owed);
        bool estimated = facts.kind == Kind.Estimated;
        state.time = estimated ? facts.from : facts.to;
        if (_ofOneSession(step.register)) return (fits, owed); // the one that runs on was not read
        (state.register, state.stage) = (estimated ? step.from : step.to, Stage.Anchored);
    }

    /// @dev What a register's energy leaves over of a minor unit: where a band begins, what is charged
    /// and the register agree to the millionth.
    function restOf(uint64 register, uint256 price_) internal pure returns (uint24) {
        return uint24(uint256(register) * price_ % uint256(MWH_PER_KWH));
    }

    /// @dev Whether an actual step begins with the note before, is about the agreed register, rises by
    /// what it charges, through the fuse, ends in time, and can be noted.
    function isDaily(
        EnergyTerms terms,
        uint256 before,
        OneStep step,
        uint256 energy,
        uint256 until
    ) internal pure returns (bool) {
        (uint256 from, uint256 to) = (step.from(), step.to());
        (uint256 begun, uint256 ended) = (step.fromTime(), step.toTime());
        unchecked { // no product has more than 81 bits: what is below zero has its highest bit
            uint256 differs = step.notActual() | from ^ before >> 32 | energy ^ to - from | to >> 48
                | _strange(terms, step.register());
            uint256 most = uint256(terms.fuseWatts()) * (ended - begun + GRACE_SECONDS) * 10;
            uint256 below = begun - uint32(before) | ended - begun | until - ended
                | uint64(terms.rolloverAt() - 1) - to | most - energy * 36; // rollover 0: never
            return differs | below >> 255 == 0;
        }
    }

    /// @dev Zero for the register of the band, where it is agreed and runs on. Groups A, D and E are
    /// compared at once; F is 0xff or one more, 0.
    function _strange(EnergyTerms terms, uint256 register) private pure returns (uint256) {
        uint256 wanted = ELECTRICITY | uint256(ACTIVE_ENERGY) << 16 | uint256(terms.band()) << 8;
        uint256 agreed = terms.export_() ? EXPORTS & ~OF_ONE_SESSION : IMPORTS & ~OF_ONE_SESSION;
        unchecked {
            return (register ^ wanted) & GROUPS_A_D_E | uint8(register + 1) >> 1
                | ~(agreed >> uint8(register >> 24)) & 1;
        }
    }

    /// @dev What a daily step owes: to the millionth, what was charged follows the register.
    function dailyCharge(OneStep step, uint256 price_) internal pure returns (uint256) {
        unchecked { // a register of 48 bits, and a price of 32
            uint256 before = step.from() * price_ / uint256(MWH_PER_KWH);
            return step.to() * price_ / uint256(MWH_PER_KWH) - before;
        }
    }

    /// @dev The note that stands for a band: 48 bits register, 32 bits time. 0: none does, since the
    /// agreement has several prices, or something is charged ahead of the register or passed it by.
    function noteOf(EnergyTerms terms, State memory state) internal pure returns (uint80) {
        bool plain = terms.prices() == 1 && state.stage == Stage.Anchored && state.ahead == 0
            && state.register >> 48 == 0
            && state.remainder == restOf(state.register, terms.price());
        return plain ? uint80(state.register) << 32 | state.time : 0;
    }

    /// @dev The band that a note stands for.
    function stateOf(EnergyTerms terms, uint80 note) internal pure returns (State memory) {
        uint64 register = uint64(note >> 32);
        uint24 remainder = restOf(register, terms.price());
        return State(register, 0, uint32(note), remainder, Stage.Anchored);
    }

    function judge(
        EnergyTerms terms,
        State memory state,
        Facts memory facts,
        Step memory step
    ) internal pure returns (Charge memory) {
        uint256 end = terms.rolloverAt();
        if (end != 0 && (step.from >= end || step.to >= end)) return _no(Answer.FactsMalformed);
        if (_ofOneSession(step.register)) return _judgeOneSession(state, facts, step);
        if (facts.kind == Kind.Late) return _judgeLate(terms, state, facts, step);
        if (terms.continuous()) return _judgeContinuous(terms, state, facts, step);
        if (facts.kind == Kind.Estimated) return _no(Answer.KindUnexpected);
        return _judgeSessions(terms, state, facts, step);
    }

    /// @dev Every step of the register is charged, so the claim begins where the last one ended. A
    /// correction also begins when its estimates did: it counts at their price.
    function _judgeContinuous(
        EnergyTerms terms,
        State memory state,
        Facts memory facts,
        Step memory step
    ) private pure returns (Charge memory) {
        if (state.stage == Stage.Anchored && step.from != state.register) {
            bool back = step.from < state.register;
            return _no(back ? Answer.RegisterBackwards : Answer.RegisterDiscontinuous);
        }
        (bool forwards, int256 rise) = _counted(terms, step.from, step.to);
        if (facts.kind == Kind.Exchanged) {
            rise = int256(step.energy) + state.ahead;
            forwards = rise >= 0;
        }
        if (!forwards) return _no(Answer.RegisterBackwards);
        if (step.energy > rise - state.ahead) return _no(Answer.EnergyAboveRegister);
        if (step.energy < rise - state.ahead) return _no(Answer.EnergyIncomplete);
        if (facts.from < state.time) return _no(Answer.TimeBackwards);
        if (state.ahead != 0 && facts.from != state.time) return _no(Answer.RegisterDiscontinuous);
        bool estimated = facts.kind == Kind.Estimated;
        return Charge(Answer.Priced, step.energy, rise, estimated ? rise : int256(0));
    }

    /// @dev Only what lies between a begin and an end is charged; the rest passes by uncharged.
    function _judgeSessions(
        EnergyTerms terms,
        State memory state,
        Facts memory facts,
        Step memory step
    ) private pure returns (Charge memory) {
        if (facts.from < state.time) return _no(Answer.TimeBackwards);
        uint64 last = state.stage == Stage.Anchored ? state.register : step.from;
        (bool forwards, int256 gap) = _counted(terms, last, step.from);
        if (!forwards) return _no(Answer.RegisterBackwards);
        if (step.from < last && !passes(terms, gap, state.time, facts.from)) {
            return _no(Answer.RegisterBackwards);
        }
        int256 rise = step.energy;
        if (facts.kind != Kind.Exchanged) {
            (forwards, rise) = _counted(terms, step.from, step.to);
        }
        if (!forwards) return _no(Answer.RegisterBackwards);
        int256 passed = gap + rise - step.energy;
        return Charge(_fair(step, rise), step.energy, step.energy, state.ahead - passed);
    }

    /// @dev A session of a register that begins with it. Late, nothing would bound it: no time
    /// order, and no register that rose without a charge.
    function _judgeOneSession(
        State memory state, Facts memory facts, Step memory step
    ) private pure returns (Charge memory) {
        if (facts.kind != Kind.Actual) return _no(Answer.KindUnexpected);
        if (facts.from < state.time) return _no(Answer.TimeBackwards);
        if (step.to < step.from) return _no(Answer.RegisterBackwards);
        int256 ahead = int256(state.ahead) + step.energy;
        Answer answer = _fair(step, int256(uint256(step.to - step.from)));
        return Charge(answer, step.energy, step.energy, ahead);
    }

    /// @dev Charged as far as the register rose by without a charge: the claims that followed may
    /// have used that up, which no oracle can know beforehand, so it cuts and does not refuse.
    function _judgeLate(
        EnergyTerms terms,
        State memory state,
        Facts memory facts,
        Step memory step
    ) private pure returns (Charge memory) {
        (bool forwards, int256 rise) = _counted(terms, step.from, step.to);
        if (!forwards) return _no(Answer.RegisterBackwards);
        int256 charged;
        if (facts.to <= state.time && state.ahead < 0) charged = -int256(state.ahead);
        if (step.energy < charged) charged = step.energy;
        return Charge(_fair(step, rise), charged, step.energy, state.ahead + charged);
    }

    /// @dev No more than the register rose by.
    function _fair(Step memory step, int256 rise) private pure returns (Answer) {
        if (step.energy < 0) return Answer.FactsMalformed;
        return step.energy > rise ? Answer.EnergyAboveRegister : Answer.Priced;
    }

    function _no(Answer answer) private pure returns (Charge memory charge) {
        charge.answer = answer;
    }

    /// @dev Whether it is a register of active energy in the direction of the terms, and one that
    /// runs on where they are continuous. OCMF, table 25; 98 and 9E are vendors' registers.
    function isAgreed(EnergyTerms terms, uint48 register) internal pure returns (bool) {
        uint48 last = register & 0xff; // group F: the present value, not a historical one
        if (register >> 40 != 1 || (register >> 16) & 0xff != ACTIVE_ENERGY) return false;
        if (last != 0xff && last != 0) return false;
        uint256 agreed = terms.export_() ? EXPORTS : IMPORTS;
        if (terms.continuous()) agreed &= ~OF_ONE_SESSION;
        return (agreed >> _counts(register)) & 1 == 1;
    }

    /// @dev Whether it begins at zero with each session: groups C of B2, B3, C2 and C3.
    function _ofOneSession(uint48 register) private pure returns (bool) {
        return (OF_ONE_SESSION >> _counts(register)) & 1 == 1;
    }

    /// @dev Group C of the OBIS code: what the register counts.
    function _counts(uint48 register) private pure returns (uint48) {
        return (register >> 24) & 0xff;
    }

    /// @dev What the register rose by between two readings, also where it passed its rollover.
    function _counted(EnergyTerms terms, uint64 from, uint64 to)
        private pure returns (bool forwards, int256)
    {
        unchecked { // 64 bits each
            int256 rise = int256(uint256(to)) - int256(uint256(from));
            if (rise < 0) rise += int256(uint256(terms.rolloverAt()));
            return (rise >= 0, rise);
        }
    }

    /// @dev Whether the fuse lets that much through. One mWh is 3.6 watt-seconds; `flow` is not
    /// below zero.
    function passes(EnergyTerms terms, int256 flow, uint32 from, uint32 to)
        internal pure returns (bool)
    {
        unchecked { // `to` is not before `from`, and no factor has more than 81 bits
            uint256 duration = uint256(to) - from + GRACE_SECONDS;
            return uint256(flow) * 36 <= uint256(terms.fuseWatts()) * duration * 10;
        }
    }
}
