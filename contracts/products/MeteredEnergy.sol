// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {CounterGaps} from "../libraries/CounterGaps.sol";
import {Scratch} from "../libraries/Scratch.sol";
import {Traits} from "../libraries/Traits.sol";
import {EnergyBytes, Facts, Header, Kind, Step} from "./energy/EnergyBytes.sol";
import {Answer, Charge, EnergyRules, Stage, State, Terms} from "./energy/EnergyRules.sol";

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
    /// @notice A late stretch was charged only as far as the register had risen without a charge.
    /// @param agreement id of the agreement
    /// @param energy what the claim asked for, mWh
    /// @param charged what was charged, mWh
    event LateEnergyCut(bytes32 indexed agreement, uint64 energy, uint64 charged);

    /// @notice A correction gave back less, because a dispute had refunded the charge before.
    /// @param agreement id of the agreement
    /// @param amount what it did not give back, token minor units
    event RefundOffset(bytes32 indexed agreement, uint48 amount);

    uint32 private constant GRACE = 1 days; // claims after the agreement's end

    /// @notice The rail that may call.
    address public immutable rail;
    /// @notice Which devices were active when.
    IDeviceRegistry public immutable registry;
    /// @notice The terms of each agreement.
    mapping(bytes32 agreement => Terms) public termsOf;
    /// @notice The prices of an agreement that has several: band (8 bits), from (32), price (32).
    mapping(bytes32 agreement => uint72[]) public pricesOf;
    /// @notice How far each band of an agreement is charged.
    mapping(bytes32 agreement => mapping(uint8 band => State)) public stateOf;
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
        return Traits.LATE;
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

    /// @inheritdoc IProduct
    function open(bytes32 agreement, bytes32, uint40 start, bytes calldata terms)
        external
        onlyRail
        returns (uint32)
    {
        // resolve
        (bool sound, Header memory head) = EnergyBytes.header(terms);
        // check
        sound = sound && head.startedAt <= block.timestamp && start <= type(uint32).max;
        if (!sound) revert TermsMalformed(terms);
        // effect
        Terms storage agreed = termsOf[agreement];
        (agreed.rolloverAt, agreed.fuseWatts) = (head.rolloverAt, head.fuseWatts);
        (agreed.start, agreed.startedAt) = (uint32(start), head.startedAt);
        (agreed.bands, agreed.prices, agreed.assurance) = (head.bands, head.prices, head.assurance);
        (agreed.continuous, agreed.export_) = (head.continuous, head.export_);
        if (!_keepPrices(agreement, agreed, terms)) revert TermsMalformed(terms);
        return GRACE;
    }

    /// @inheritdoc IProduct
    function price(Quote[] calldata quotes) external onlyRail returns (Price[] memory prices) {
        prices = new Price[](quotes.length);
        uint256 mark = Scratch.mark();
        for (uint256 i; i < quotes.length; ++i) {
            (int48 amount, Answer answer) = _price(quotes[i]);
            Scratch.free(mark);
            prices[i].amount = amount;
            prices[i].refusal = uint8(answer);
        }
    }

    /// @inheritdoc IProduct
    /// @dev Only estimates are ever corrected: what was refunded before they began is forgotten.
    function refunded(bytes32 agreement, uint48 amount) external onlyRail {
        refundedOf[agreement] += amount;
    }

    /// @inheritdoc IProduct
    /// @dev The next claim may begin at any register, as an agreement's first one may. What an
    /// estimate charged ahead stands: the reading that corrects it may be among those passed over.
    function skipped(bytes32 agreement) external onlyRail {
        Terms memory terms = termsOf[agreement];
        for (uint256 i; i < terms.prices; ++i) {
            uint8 band = terms.prices == 1 ? terms.band : uint8(pricesOf[agreement][i] >> 64);
            State storage state = stateOf[agreement][band];
            state.stage = Stage.Open;
            if (state.ahead > 0) state.ahead = 0;
        }
    }

    /// @dev Prices in order of band and time, the first of each band from the beginning on; a total
    /// and its parts are never charged together.
    function _keepPrices(bytes32 agreement, Terms storage agreed, bytes calldata raw)
        private
        returns (bool)
    {
        (uint256 seen, uint72 previous) = (0, 0);
        for (uint256 i; i < agreed.prices; ++i) {
            uint72 entry = EnergyBytes.priceEntry(raw, agreed.bands, i);
            uint8 band = uint8(entry >> 64);
            if (i != 0 && entry >> 32 <= previous >> 32) return false;
            if (i == 0 || band != uint8(previous >> 64)) {
                if (uint32(entry >> 32) != 0 || seen == agreed.bands) return false;
                if (band == 0 ? agreed.bands != 1 : !agreed.continuous) return false;
                uint64 register = EnergyBytes.startRegister(raw, seen++);
                if (agreed.rolloverAt != 0 && register >= agreed.rolloverAt) return false;
                uint32 time = agreed.startedAt == 0 ? agreed.start : agreed.startedAt;
                Stage stage = register == 0 ? Stage.Open : Stage.Anchored;
                stateOf[agreement][band] = State(register, 0, 0, time, 0, stage);
            }
            if (agreed.prices == 1) (agreed.band, agreed.price) = (band, uint32(entry));
            else pricesOf[agreement].push(entry);
            previous = entry;
        }
        return seen == agreed.bands;
    }

    function _price(Quote calldata quote) private returns (int48, Answer) {
        // resolve
        (bool sound, Facts memory facts) = EnergyBytes.facts(quote.facts);
        Terms memory terms = termsOf[quote.agreement];
        if (!sound || facts.steps != terms.bands) return (0, Answer.FactsMalformed);
        // check
        if ((facts.kind == Kind.Late) != quote.late) return (0, Answer.KindUnexpected);
        (bool open_, uint256 gaps, bool passes) = _gaps(quote);
        if (!open_) return (0, Answer.LateCountersUnknown);
        Answer answer = EnergyRules.times(terms, facts, quote.until);
        if (answer != Answer.Priced) return (0, answer);
        State[] memory states = new State[](facts.steps);
        uint8[] memory bands = new uint8[](facts.steps);
        int256 amount;
        int256 cut;
        bool outstanding;
        (answer, amount, cut, outstanding) = _steps(quote, terms, facts, states, bands);
        if (answer != Answer.Priced) return (0, answer);
        if (!registry.activeAt(quote.device, facts.to)) return (0, Answer.DeviceNotActive);
        if (amount != int48(amount) || amount > int256(uint256(quote.limit))) {
            return (0, Answer.OverLimit);
        }
        // effect
        for (uint256 i; i < states.length; ++i) stateOf[quote.agreement][bands[i]] = states[i];
        if (passes) gapsOf[quote.agreement] = gaps;
        if (facts.kind == Kind.Estimated && !outstanding) _forget(quote.agreement);
        if (amount < 0) amount += _offset(quote.agreement, amount);
        // event
        if (cut > 0) _reportCut(quote, facts.steps, cut);
        return (int48(amount), Answer.Priced);
    }

    /// @dev Whether the counters may be claimed, and the gaps that are open after the claim.
    function _gaps(Quote calldata quote)
        private view returns (bool open_, uint256 gaps, bool changed)
    {
        if (quote.late) {
            gaps = gapsOf[quote.agreement];
            (open_, gaps) = CounterGaps.without(gaps, quote.firstCounter, quote.lastCounter);
            return (open_, gaps, true);
        }
        if (uint256(quote.firstCounter) == uint256(quote.claimedTo) + 1) return (true, 0, false);
        gaps = gapsOf[quote.agreement];
        return (true, CounterGaps.passed(gaps, quote.claimedTo, quote.firstCounter), true);
    }

    /// @dev Judges the step of each band. `states` and `bands` get what is to be kept; `cut` is what
    /// a late claim asked for in vain (mWh), `outstanding` whether an estimate waits for its
    /// correction.
    function _steps(
        Quote calldata quote,
        Terms memory terms,
        Facts memory facts,
        State[] memory states,
        uint8[] memory bands
    ) private view returns (Answer, int256 amount, int256 cut, bool outstanding) {
        int256 flow;
        for (uint256 i; i < states.length; ++i) {
            Step memory step = EnergyBytes.step(quote.facts, i);
            uint8 band = uint8(step.register >> 8); // group E
            (bool priced, uint256 price_) = _priceAt(quote.agreement, terms, band, facts.from);
            bool inOrder = i == 0 || band > bands[i - 1];
            if (!priced || !inOrder || !EnergyRules.isAgreed(terms, step.register)) {
                return (Answer.RegisterNotAgreed, 0, 0, false);
            }
            State memory state = stateOf[quote.agreement][band];
            outstanding = outstanding || state.ahead > 0;
            Charge memory charge = EnergyRules.judge(terms, state, facts, step);
            if (charge.answer != Answer.Priced) return (charge.answer, 0, 0, false);
            (bool fits, int256 owed) = EnergyRules.advance(state, facts, step, charge, price_);
            if (!fits) return (Answer.FactsMalformed, 0, 0, false);
            amount += owed;
            flow += charge.flow;
            cut += step.energy - charge.energy;
            (states[i], bands[i]) = (state, band);
        }
        bool fused = EnergyRules.passes(terms, flow, facts.from, facts.to);
        if (!fused) return (Answer.FuseExceeded, 0, 0, false);
        return (Answer.Priced, amount, cut, outstanding);
    }

    function _reportCut(Quote calldata quote, uint256 steps, int256 cut) private {
        int256 asked;
        for (uint256 i; i < steps; ++i) asked += EnergyBytes.step(quote.facts, i).energy;
        uint64 charged = uint64(uint256(asked - cut));
        emit LateEnergyCut(quote.agreement, uint64(uint256(asked)), charged);
    }

    /// @dev The price of a band that holds at a time. Prices are in order, so the last one counts.
    function _priceAt(bytes32 agreement, Terms memory terms, uint8 band, uint32 time)
        private view returns (bool known, uint256 price_)
    {
        if (terms.prices == 1) return (band == terms.band, terms.price);
        uint72[] storage prices = pricesOf[agreement];
        for (uint256 i; i < terms.prices; ++i) {
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
