// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {CounterGaps} from "../libraries/CounterGaps.sol";
import {Quote, Quotes, Reply} from "../libraries/Quotes.sol";
import {Scratch} from "../libraries/Scratch.sol";
import {Traits} from "../libraries/Traits.sol";
import {EnergyBytes, Facts, Header, Kind, OneStep, Step} from "./energy/EnergyBytes.sol";
import {Answer, Charge, EnergyRules, Stage, State} from "./energy/EnergyRules.sol";
import {EnergyTerms, EnergyWords} from "./energy/EnergyTerms.sol";

/// @title Energy by the meter's register, charged by cumulative rounding: no rounding drifts.
/// @notice Registers and energy are mWh, times Unix seconds, prices token minor units per kWh;
/// energy/EnergyBytes.sol says how terms and facts are written. A register that reaches `rollover`
/// begins at zero again; 0: it never does. `export`: energy fed into the grid is charged, not energy
/// taken from it. `assurance`: the least that is taken, which the oracles check; 0 device, 1 gateway,
/// 2 file. `startedAt`: when the start registers were read.
/// Prices: a claim is charged at the price that holds at its `from`, so the energy between the two
/// readings around a date counts at the old price. Bands other than 0 are tariff registers: they
/// need continuous terms, and each claim has a step for every band.
/// Kinds: actual; estimated, charged ahead of the meter (continuous terms only); exchanged: `to` is
/// where the new meter begins; late: a stretch of counters that claims passed by, once.
/// `fromRegister` is an actual reading, never an estimate. `energy` is what is new to the charge:
/// below zero where an estimate was too high.
/// A register that begins at zero with each session (OCMF, table 25: B2, B3, C2, C3) is never
/// compared with the last claim's: what bounds a replay there is that times do not overlap.
/// Warning: it bounds what a meter may say (the fuse, the register's direction, the agreement's
/// times); it cannot know the truth. What an exchanged meter's last reading was, and that a claim
/// ends with the first record after a price date, only the oracles saw.
contract MeteredEnergy is IProduct {
    using Quotes for Reply[];

    /// @notice A late stretch was charged only as far as the register had risen without a charge.
    /// @param agreement id of the agreement
    /// @param energy what the claim asked for, mWh
    /// @param charged what was charged, mWh
    event LateEnergyCut(bytes32 indexed agreement, uint64 energy, uint64 charged);

    /// @notice A correction gave back less, because a dispute had refunded the charge before.
    /// @param agreement id of the agreement
    /// @param amount what it did not give back, token minor units
    event RefundOffset(bytes32 indexed agreement, uint48 amount);

    /// One slot.
    struct Begin {
        uint32 start;
        uint32 startedAt;
        uint176 terms; // the shared terms without their lowest bits, which are zero
    }

    /// A claim on its way through `price`: its bands after it, and their sums.
    struct Claimed {
        State[] states;
        uint8[] bands;
        int256 amount;
        int256 cut; // what a late claim asked for in vain, mWh
        bool outstanding; // an estimate waits for its correction
    }

    uint32 private constant GRACE = 1 days; // claims after the agreement's end

    /// @notice The rail that may call.
    address public immutable rail;
    /// @notice Which devices were active when.
    IDeviceRegistry public immutable registry;
    /// @notice When each agreement begins: facts before `start` are refused; `startedAt`: when its
    /// first registers were read.
    mapping(bytes32 agreement => Begin) public beginOf;
    /// @notice The prices of an agreement that has several: band (8 bits), from (32), price (32).
    mapping(bytes32 agreement => uint72[]) public pricesOf;
    /// @dev Of an agreement with a note in the rail the note counts.
    mapping(bytes32 agreement => mapping(uint8 band => State)) private _states;
    /// @notice The counters that claims passed by, see libraries/CounterGaps.sol.
    mapping(bytes32 agreement => uint256) public gapsOf;
    /// @notice What was refunded, and not given back by a correction since.
    mapping(bytes32 agreement => uint48) public refundedOf;

    modifier onlyRail() {
        if (msg.sender != rail) revert NotTheRail(msg.sender);
        _;
    }

    constructor(address rail_, address registry_) {
        rail = rail_;
        registry = IDeviceRegistry(registry_);
    }

    /// @inheritdoc IProduct
    function name() external pure returns (string memory) {
        return "metered_energy";
    }

    /// @inheritdoc IProduct
    function version() external pure returns (uint8) {
        return 2;
    }

    /// @inheritdoc IProduct
    function traits() external pure returns (uint8) {
        return Traits.LATE | Traits.STEADY;
    }

    /// @inheritdoc IProduct
    function refusalName(uint8 refusal) external pure returns (string memory) {
        string[14] memory names = [
            "Priced", "OverLimit", "FactsMalformed", "RegisterBackwards", "RegisterDiscontinuous",
            "EnergyAboveRegister", "EnergyIncomplete", "TimeBackwards", "FuseExceeded",
            "KindUnexpected", "DeviceNotActive", "RegisterNotAgreed", "TimeAhead",
            "LateCountersUnknown"
        ];
        return refusal < names.length ? names[refusal] : "";
    }

    /// @notice Says how far a band of an agreement is charged.
    /// @param agreement id of the agreement
    /// @param band group E of the OBIS code of its register
    /// @return state of the band; its stage is 0 where the agreement has no such band
    function stateOf(bytes32 agreement, uint8 band) external view returns (State memory state) {
        (uint80 note,) = IPaymentRail(rail).noteOf(agreement);
        EnergyTerms terms = _termsOf(agreement);
        if (note == 0) return _states[agreement][band];
        if (band == terms.band()) return EnergyRules.stateOf(terms, note);
    }

    /// @inheritdoc IProduct
    function open(bytes32 agreement, bytes32, uint40 start, bytes calldata raw)
        external
        onlyRail
        returns (uint32, uint256, uint80)
    {
        // resolve
        (bool sound, Header memory head) = EnergyBytes.header(raw);
        // check
        sound = sound && head.startedAt <= block.timestamp && start <= type(uint32).max;
        if (!sound) revert TermsMalformed(raw);
        // effect
        uint32 began = head.startedAt == 0 ? uint32(start) : head.startedAt;
        (bool kept, EnergyTerms terms) = _keepPrices(agreement, head, began, raw);
        if (!kept) revert TermsMalformed(raw);
        uint176 high = uint176(EnergyTerms.unwrap(terms) >> 80);
        beginOf[agreement] = Begin(uint32(start), head.startedAt, high);
        return (GRACE, EnergyTerms.unwrap(terms), 0);
    }

    /// @inheritdoc IProduct
    function price(uint256[] calldata shared, uint256 count, bytes calldata quotes)
        external
        onlyRail
        returns (Reply[] memory replies)
    {
        replies = new Reply[](count);
        Quote quote = Quotes.first(quotes);
        uint256 mark = Scratch.mark();
        for (uint256 i; i < count; ++i) {
            EnergyTerms terms = EnergyTerms.wrap(shared[quote.group()]);
            bytes calldata facts = quote.facts();
            Reply reply = _daily(quote, facts, terms);
            if (reply.isNone()) {
                reply = _priced(quote, terms);
                Scratch.free(mark);
            }
            replies.put(i, reply);
            quote = Quotes.behind(facts);
        }
        replies.answer();
    }

    /// @inheritdoc IProduct
    /// @dev Only estimates are ever corrected: what was refunded before they began is forgotten.
    function refunded(bytes32 agreement, uint48 amount) external onlyRail {
        refundedOf[agreement] += amount;
    }

    /// @inheritdoc IProduct
    /// @dev The next claim may begin at any register, as an agreement's first one may. What an
    /// estimate charged ahead stands: the reading that corrects it may be among those passed over.
    function skipped(bytes32 agreement, uint80 note) external onlyRail returns (uint80) {
        EnergyTerms terms = _termsOf(agreement);
        if (note != 0) _states[agreement][terms.band()] = EnergyRules.stateOf(terms, note);
        for (uint256 i; i < terms.prices(); ++i) {
            uint8 band = terms.prices() == 1 ? terms.band() : uint8(pricesOf[agreement][i] >> 64);
            State storage state = _states[agreement][band];
            state.stage = Stage.Open;
            if (state.ahead > 0) state.ahead = 0;
        }
        return 0;
    }

    /// @dev Prices in order of band and time, the first of each band from the beginning on; a total
    /// and its parts are never charged together.
    function _keepPrices(
        bytes32 agreement,
        Header memory head,
        uint32 began,
        bytes calldata raw
    ) private returns (bool, EnergyTerms terms) {
        (uint256 seen, uint72 previous) = (0, 0);
        for (uint256 i; i < head.prices; ++i) {
            uint72 entry = EnergyBytes.priceEntry(raw, head.bands, i);
            uint8 band = uint8(entry >> 64);
            if (i != 0 && entry >> 32 <= previous >> 32) return (false, terms);
            if (i == 0 || band != uint8(previous >> 64)) {
                if (uint32(entry >> 32) != 0 || seen == head.bands) return (false, terms);
                if (band == 0 ? head.bands != 1 : !head.continuous) return (false, terms);
                uint64 register = EnergyBytes.startRegister(raw, seen++);
                if (head.rolloverAt != 0 && register >= head.rolloverAt) return (false, terms);
                uint24 rest = head.prices == 1 ? EnergyRules.restOf(register, uint32(entry)) : 0;
                Stage stage = register == 0 ? Stage.Open : Stage.Anchored;
                _states[agreement][band] = State(register, 0, began, rest, stage);
            }
            if (head.prices > 1) pricesOf[agreement].push(entry);
            previous = entry;
        }
        bool one = head.prices == 1;
        terms = EnergyWords.pack(head, one ? uint8(previous >> 64) : 0, one ? uint32(previous) : 0);
        return (seen == head.bands, terms);
    }

    /// @dev Prices a claim of the daily run: one actual reading after the other, of one register, of a
    /// device that was active throughout. Answers as `_price` does, at a fraction of the gas, and
    /// leaves all else to it, refusals too: no reply. A daily reply has a note, so it is one.
    function _daily(Quote quote, bytes calldata facts, EnergyTerms terms)
        private pure returns (Reply reply)
    {
        (OneStep step, uint256 energy) = EnergyBytes.oneStep(facts);
        uint256 before = quote.note();
        if (before == 0 || !quote.isPlain()) return reply;
        if (!EnergyRules.isDaily(terms, before, step, energy, quote.until())) return reply;
        uint256 amount = EnergyRules.dailyCharge(step, terms.price());
        if (amount <= quote.limit()) reply = Quotes.priced(int256(amount), step.noteOf());
    }

    function _priced(Quote quote, EnergyTerms terms) private returns (Reply) {
        (Answer answer, int256 amount, uint80 note) = _price(quote, terms);
        if (answer != Answer.Priced) return Quotes.refused(uint8(answer));
        return Quotes.priced(amount, note);
    }

    function _price(Quote quote, EnergyTerms terms)
        private
        returns (Answer answer, int256 amount, uint80 note)
    {
        // resolve
        (bool sound, Facts memory facts) = EnergyBytes.facts(quote.facts());
        if (!sound || facts.steps != terms.bands()) return (Answer.FactsMalformed, 0, 0);
        // check
        if ((facts.kind == Kind.Late) != quote.late()) return (Answer.KindUnexpected, 0, 0);
        (bool open_, uint256 gaps, bool passes) = _gaps(quote);
        if (!open_) return (Answer.LateCountersUnknown, 0, 0);
        answer = _times(quote, terms, facts);
        if (answer != Answer.Priced) return (answer, 0, 0);
        Claimed memory claimed =
            Claimed(new State[](facts.steps), new uint8[](facts.steps), 0, 0, false);
        answer = _steps(quote, terms, facts, claimed);
        if (answer != Answer.Priced) return (answer, 0, 0);
        bytes32 device = quote.device();
        if (device != 0 && !registry.activeAt(device, facts.to)) {
            return (Answer.DeviceNotActive, 0, 0);
        }
        amount = claimed.amount;
        if (amount != int48(amount) || amount > int256(uint256(quote.limit()))) {
            return (Answer.OverLimit, 0, 0);
        }
        // effect
        bytes32 agreement = quote.agreement();
        note = EnergyRules.noteOf(terms, claimed.states[0]);
        if (note == 0) _keep(agreement, claimed);
        if (passes) gapsOf[agreement] = gaps;
        if (facts.kind == Kind.Estimated && !claimed.outstanding) _forget(agreement);
        if (amount < 0) amount += _offset(agreement, amount);
        // event
        if (claimed.cut > 0) _reportCut(quote, facts.steps, claimed.cut);
    }

    function _keep(bytes32 agreement, Claimed memory claimed) private {
        for (uint256 i; i < claimed.states.length; ++i) {
            _states[agreement][claimed.bands[i]] = claimed.states[i];
        }
    }

    /// @dev A note's time is not before the start: only facts before it make the start matter.
    function _times(Quote quote, EnergyTerms terms, Facts memory facts)
        private view returns (Answer)
    {
        if (facts.to < facts.from) return Answer.TimeBackwards;
        if (quote.note() == 0 || facts.from < uint32(quote.note())) {
            Begin memory begin = beginOf[quote.agreement()];
            bool began = EnergyRules.began(terms, facts, begin.start, begin.startedAt);
            if (!began) return Answer.TimeBackwards;
        }
        return facts.to > quote.until() ? Answer.TimeAhead : Answer.Priced;
    }

    /// @dev Whether the counters may be claimed, and the gaps that are open after the claim.
    function _gaps(Quote quote)
        private view returns (bool open_, uint256 gaps, bool changed)
    {
        if (quote.late()) {
            gaps = gapsOf[quote.agreement()];
            (open_, gaps) = CounterGaps.without(gaps, quote.firstCounter(), quote.lastCounter());
            return (open_, gaps, true);
        }
        uint40 claimedTo = quote.claimedTo();
        if (quote.firstCounter() == uint256(claimedTo) + 1) return (true, 0, false);
        gaps = gapsOf[quote.agreement()];
        return (true, CounterGaps.passed(gaps, claimedTo, quote.firstCounter()), true);
    }

    /// @dev Judges the step of each band.
    function _steps(Quote quote, EnergyTerms terms, Facts memory facts, Claimed memory claimed)
        private view returns (Answer)
    {
        int256 flow;
        for (uint256 i; i < facts.steps; ++i) {
            Step memory step = EnergyBytes.step(quote.facts(), i);
            uint8 band = uint8(step.register >> 8); // group E
            (bool priced, uint256 price_) = _priceAt(quote.agreement(), terms, band, facts.from);
            bool inOrder = i == 0 || band > claimed.bands[i - 1];
            if (!priced || !inOrder || !EnergyRules.isAgreed(terms, step.register)) {
                return Answer.RegisterNotAgreed;
            }
            State memory state = quote.note() == 0
                ? _states[quote.agreement()][band]
                : EnergyRules.stateOf(terms, quote.note());
            claimed.outstanding = claimed.outstanding || state.ahead > 0;
            Charge memory charge = EnergyRules.judge(terms, state, facts, step);
            if (charge.answer != Answer.Priced) return charge.answer;
            (bool fits, int256 owed) = EnergyRules.advance(state, facts, step, charge, price_);
            if (!fits) return Answer.FactsMalformed;
            claimed.amount += owed;
            claimed.cut += step.energy - charge.energy;
            flow += charge.flow;
            (claimed.states[i], claimed.bands[i]) = (state, band);
        }
        bool fused = EnergyRules.passes(terms, flow, facts.from, facts.to);
        return fused ? Answer.Priced : Answer.FuseExceeded;
    }

    function _reportCut(Quote quote, uint256 steps, int256 cut) private {
        int256 asked;
        for (uint256 i; i < steps; ++i) asked += EnergyBytes.step(quote.facts(), i).energy;
        uint64 charged = uint64(uint256(asked - cut));
        emit LateEnergyCut(quote.agreement(), uint64(uint256(asked)), charged);
    }

    function _termsOf(bytes32 agreement) private view returns (EnergyTerms) {
        return EnergyTerms.wrap(uint256(beginOf[agreement].terms) << 80);
    }

    /// @dev The price of a band that holds at a time. Prices are in order, so the last one counts.
    function _priceAt(bytes32 agreement, EnergyTerms terms, uint8 band, uint32 time)
        private view returns (bool known, uint256 price_)
    {
        if (terms.prices() == 1) return (band == terms.band(), terms.price());
        uint72[] storage prices = pricesOf[agreement];
        for (uint256 i; i < terms.prices(); ++i) {
            uint72 entry = prices[i];
            if (uint8(entry >> 64) == band && uint32(entry >> 32) <= time) {
                (known, price_) = (true, uint32(entry));
            }
        }
    }

    /// @dev What was refunded is not given back again: the part of a correction that it covers.
    function _offset(bytes32 agreement, int256 amount) private returns (int256 part) {
        int256 refund = int256(uint256(refundedOf[agreement]));
        if (refund == 0) return 0;
        part = -amount < refund ? -amount : refund;
        refundedOf[agreement] = uint48(uint256(refund - part));
        emit RefundOffset(agreement, uint48(uint256(part)));
    }

    function _forget(bytes32 agreement) private {
        if (refundedOf[agreement] != 0) refundedOf[agreement] = 0;
    }
}
