// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {Scratch} from "../libraries/Scratch.sol";
import {Traits} from "../libraries/Traits.sol";

/// @title Energy by the meter's register, charged by cumulative rounding: no rounding drifts.
/// @notice Registers and energy are mWh, times Unix seconds, prices token minor units per kWh.
/// Terms: abi.encode(uint64 pricePerKwh, uint32 fuseWatts, bool continuous, uint64 startRegister,
/// uint64 rolloverAt, bool export, uint8 assurance). A register that reaches `rolloverAt` begins at
/// zero again; 0: it never does. `export`: energy fed into the grid is charged, not energy taken
/// from it. `assurance`: the least that is taken, which the oracles check; 0 device, 1 gateway,
/// 2 file.
/// Facts: abi.encode(uint64 fromRegister, uint64 toRegister, int64 energy, uint40 fromTime,
/// uint40 toTime, uint8 kind, uint48 register). `register` is the OBIS code of the register that
/// was read, its six groups A to F. Kinds: 0 actual; 1 estimated, charged ahead of the meter (continuous
/// terms only); 2 exchanged: `toRegister` is where the new meter begins; 3 late: a stretch that
/// claims had passed by.
/// `fromRegister` is an actual reading, never an estimate. `energy` is what is new to the charge:
/// below zero where an estimate was too high.
/// A register that begins at zero with each session (OCMF, table 25: B2, B3, C2, C3) is never
/// compared with the last claim's: what bounds a replay there is that times do not overlap.
/// Warning: it bounds what a meter may say (the fuse, the register's direction); it cannot know
/// the truth. What an exchanged meter's last reading was, only the oracles saw.
contract MeteredEnergy is IProduct {
    enum Kind { Actual, Estimated, Exchanged, Late }

    /// Open keeps the slot non-zero: the first claim costs what the next ones do.
    enum Stage { None, Open, Claimed }

    struct State {
        uint64 register; // the last actual reading that a claim ended with
        uint64 total; // mWh charged so far
        uint40 time; // of that reading
        int80 ahead; // mWh charged beyond the register (estimates), or below zero: passed uncharged
        Stage stage;
    }

    struct Terms {
        uint64 pricePerKwh;
        uint32 fuseWatts;
        bool continuous;
        uint64 startRegister;
        uint64 rolloverAt;
        bool export_;
        uint8 assurance;
    }

    struct Facts {
        uint64 fromRegister;
        uint64 toRegister;
        int64 energy;
        uint40 fromTime;
        uint40 toTime;
        Kind kind;
        uint48 register;
    }

    /// 1 is IProduct's OVER_LIMIT; the order is what `refusalName` and the rail's 100 + n speak of.
    enum Answer {
        Priced,
        OverLimit,
        FactsMalformed,
        RegisterBackwards,
        RegisterDiscontinuous,
        EnergyAboveRegister,
        EnergyIncomplete,
        TimeBackwards,
        FuseExceeded,
        KindUnexpected, // late facts of counters that are not, or an estimate of sessions
        DeviceNotActive, // at the time of the last reading, by the registry
        RegisterNotAgreed // none is named, it counts the other direction, or continuous terms need
        // one that runs on
    }

    /// @notice A late stretch was charged only as far as the register had risen without a charge.
    /// @param agreement id of the agreement
    /// @param energy what the claim asked for, mWh
    /// @param charged what was charged, mWh
    event LateEnergyCut(bytes32 indexed agreement, uint64 energy, uint64 charged);

    uint256 private constant MWH_PER_KWH = 1_000_000;
    uint256 private constant GRACE_SECONDS = 60; // meters stamp whole minutes
    uint256 private constant LEAST_ASSURANCE = 2; // a file
    uint48 private constant ACTIVE_ENERGY = 0x0800; // groups D and E: a register that counts up
    // sets of groups C, a bit for each
    uint256 private constant OF_ONE_SESSION = (3 << 0xb2) | (3 << 0xc2);
    uint256 private constant IMPORTS = (1 << 0x01) | (1 << 0x98) | (1 << 0x9e) | (0xf << 0xb0);
    uint256 private constant EXPORTS = (1 << 0x02) | (0xf << 0xc0);

    /// @notice The rail that may call.
    address public immutable rail;
    /// @notice Which devices were active when.
    IDeviceRegistry public immutable registry;
    /// @notice The terms of each agreement.
    mapping(bytes32 agreement => Terms) public termsOf;
    /// @notice How far each agreement is charged.
    mapping(bytes32 agreement => State) public stateOf;

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
    function traits() external pure returns (uint8) {
        return Traits.LATE;
    }

    /// @inheritdoc IProduct
    function refusalName(uint8 refusal) external pure returns (string memory) {
        string[12] memory names = [
            "Priced", "OverLimit", "FactsMalformed", "RegisterBackwards", "RegisterDiscontinuous",
            "EnergyAboveRegister", "EnergyIncomplete", "TimeBackwards", "FuseExceeded",
            "KindUnexpected", "DeviceNotActive", "RegisterNotAgreed"
        ];
        return refusal < names.length ? names[refusal] : "";
    }

    /// @inheritdoc IProduct
    function open(bytes32 agreement, bytes32, bytes calldata terms) external onlyRail {
        // resolve
        (bool sound, Terms memory agreed) = _terms(terms);
        // check
        if (!sound) revert TermsMalformed(terms);
        // effect
        termsOf[agreement] = agreed;
        stateOf[agreement] = State(agreed.startRegister, 0, 0, 0, Stage.Open);
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

    function _price(Quote calldata quote) private returns (int48, Answer) {
        // resolve
        (bool sound, Facts memory facts) = _facts(quote.facts);
        if (!sound) return (0, Answer.FactsMalformed);
        Terms memory terms = termsOf[quote.agreement];
        State memory state = stateOf[quote.agreement];
        // check
        if ((facts.kind == Kind.Late) != quote.late) return (0, Answer.KindUnexpected);
        (Answer answer, int256 charged, int256 ahead) = _judge(terms, state, facts);
        if (answer != Answer.Priced) return (0, answer);
        if (!registry.activeAt(quote.device, facts.toTime)) return (0, Answer.DeviceNotActive);
        int256 total = int256(uint256(state.total)) + charged;
        if (total < 0 || total > int256(uint256(type(uint64).max)) || ahead != int80(ahead)) {
            return (0, Answer.FactsMalformed);
        }
        int256 amount = _owed(uint256(total), terms) - _owed(state.total, terms);
        if (amount != int48(amount) || amount > int256(uint256(quote.limit))) {
            return (0, Answer.OverLimit);
        }
        // effect
        stateOf[quote.agreement] = _after(state, facts, uint64(uint256(total)), int80(ahead));
        // event
        if (charged < facts.energy) {
            emit LateEnergyCut(quote.agreement, uint64(facts.energy), uint64(uint256(charged)));
        }
        return (int48(amount), Answer.Priced);
    }

    function _after(State memory state, Facts memory facts, uint64 total, int80 ahead)
        private pure returns (State memory)
    {
        if (facts.kind == Kind.Late) {
            return State(state.register, total, state.time, ahead, state.stage);
        }
        if (_ofOneSession(facts.register)) { // the register that runs on was not read
            return State(state.register, total, facts.toTime, ahead, state.stage);
        }
        if (facts.kind == Kind.Estimated) {
            return State(facts.fromRegister, total, facts.fromTime, ahead, Stage.Claimed);
        }
        return State(facts.toRegister, total, facts.toTime, ahead, Stage.Claimed);
    }

    /// @dev What the claim charges (mWh, below zero for a debt), and what is charged ahead after it.
    function _judge(Terms memory terms, State memory state, Facts memory facts)
        private pure returns (Answer, int256 charged, int256 ahead)
    {
        if (!_isAgreed(terms, facts.register)) return (Answer.RegisterNotAgreed, 0, 0);
        uint256 end = terms.rolloverAt;
        if (end != 0 && (facts.fromRegister >= end || facts.toRegister >= end)) {
            return (Answer.FactsMalformed, 0, 0);
        }
        if (facts.toTime < facts.fromTime) return (Answer.TimeBackwards, 0, 0);
        if (_ofOneSession(facts.register)) return _judgeOneSession(terms, state, facts);
        if (facts.kind == Kind.Late) return _judgeLate(terms, state, facts);
        if (terms.continuous) return _judgeContinuous(terms, state, facts);
        if (facts.kind == Kind.Estimated) return (Answer.KindUnexpected, 0, 0);
        return _judgeSessions(terms, state, facts);
    }

    /// @dev Every step of the register is charged, so the claim begins where the last one ended.
    function _judgeContinuous(Terms memory terms, State memory state, Facts memory facts)
        private pure returns (Answer, int256, int256)
    {
        if (_anchored(terms, state) && facts.fromRegister != state.register) {
            if (facts.fromRegister < state.register) return (Answer.RegisterBackwards, 0, 0);
            return (Answer.RegisterDiscontinuous, 0, 0);
        }
        (bool forwards, int256 rise) = _counted(terms, facts.fromRegister, facts.toRegister);
        if (facts.kind == Kind.Exchanged) {
            rise = facts.energy + state.ahead;
            forwards = rise >= 0;
        }
        if (!forwards) return (Answer.RegisterBackwards, 0, 0);
        if (facts.energy > rise - state.ahead) return (Answer.EnergyAboveRegister, 0, 0);
        if (facts.energy < rise - state.ahead) return (Answer.EnergyIncomplete, 0, 0);
        if (facts.fromTime < state.time) return (Answer.TimeBackwards, 0, 0);
        if (!_fits(terms, rise, facts.fromTime, facts.toTime)) return (Answer.FuseExceeded, 0, 0);
        return (Answer.Priced, facts.energy, facts.kind == Kind.Estimated ? rise : int256(0));
    }

    /// @dev Only what lies between a begin and an end is charged; the rest passes by uncharged.
    function _judgeSessions(Terms memory terms, State memory state, Facts memory facts)
        private pure returns (Answer, int256, int256)
    {
        if (facts.fromTime < state.time) return (Answer.TimeBackwards, 0, 0);
        uint64 last = _anchored(terms, state) ? state.register : facts.fromRegister;
        (bool forwards, int256 gap) = _counted(terms, last, facts.fromRegister);
        if (!forwards) return (Answer.RegisterBackwards, 0, 0);
        if (facts.fromRegister < last && !_fits(terms, gap, state.time, facts.fromTime)) {
            return (Answer.RegisterBackwards, 0, 0);
        }
        int256 rise = facts.energy;
        if (facts.kind != Kind.Exchanged) {
            (forwards, rise) = _counted(terms, facts.fromRegister, facts.toRegister);
        }
        if (!forwards) return (Answer.RegisterBackwards, 0, 0);
        int256 passed = gap + rise - facts.energy;
        return (_fair(terms, facts, rise), facts.energy, state.ahead - passed);
    }

    /// @dev A session of a register that begins with it. Late, nothing would bound it: no time order,
    /// and no register that rose without a charge.
    function _judgeOneSession(Terms memory terms, State memory state, Facts memory facts)
        private pure returns (Answer, int256, int256)
    {
        if (facts.kind != Kind.Actual) return (Answer.KindUnexpected, 0, 0);
        if (facts.fromTime < state.time) return (Answer.TimeBackwards, 0, 0);
        if (facts.toRegister < facts.fromRegister) return (Answer.RegisterBackwards, 0, 0);
        int256 rise = int256(uint256(facts.toRegister)) - int256(uint256(facts.fromRegister));
        return (_fair(terms, facts, rise), facts.energy, int256(state.ahead) + facts.energy);
    }

    /// @dev Charged as far as the register rose by without a charge: the claims that followed may have
    /// used that up, which no oracle can know beforehand, so it cuts and does not refuse.
    function _judgeLate(Terms memory terms, State memory state, Facts memory facts)
        private pure returns (Answer, int256 charged, int256)
    {
        (bool forwards, int256 rise) = _counted(terms, facts.fromRegister, facts.toRegister);
        if (!forwards) return (Answer.RegisterBackwards, 0, 0);
        if (facts.toTime <= state.time && state.ahead < 0) charged = -int256(state.ahead);
        if (facts.energy < charged) charged = facts.energy;
        return (_fair(terms, facts, rise), charged, state.ahead + charged);
    }

    /// @dev No more than the register rose by, and no more than the fuse lets through.
    function _fair(Terms memory terms, Facts memory facts, int256 rise)
        private pure returns (Answer)
    {
        if (facts.energy < 0) return Answer.FactsMalformed;
        if (facts.energy > rise) return Answer.EnergyAboveRegister;
        if (!_fits(terms, facts.energy, facts.fromTime, facts.toTime)) return Answer.FuseExceeded;
        return Answer.Priced;
    }

    /// @dev Whether it is a register of total active energy in the direction of the terms, and one
    /// that runs on where they are continuous. OCMF, table 25; 98 and 9E are vendors' registers.
    function _isAgreed(Terms memory terms, uint48 register) private pure returns (bool) {
        uint48 last = register & 0xff; // group F: the present value, not a historical one
        if (register >> 40 != 1 || (register >> 8) & 0xffff != ACTIVE_ENERGY) return false;
        if (last != 0xff && last != 0) return false;
        uint256 agreed = terms.export_ ? EXPORTS : IMPORTS;
        if (terms.continuous) agreed &= ~OF_ONE_SESSION;
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

    /// @dev A start register of 0 says "not known": the first claim may begin anywhere.
    function _anchored(Terms memory terms, State memory state) private pure returns (bool) {
        return state.stage == Stage.Claimed || terms.startRegister != 0;
    }

    /// @dev What the register rose by between two readings, also where it passed its rollover.
    function _counted(Terms memory terms, uint64 from, uint64 to)
        private pure returns (bool forwards, int256)
    {
        unchecked { // 64 bits each
            int256 rise = int256(uint256(to)) - int256(uint256(from));
            if (rise < 0) rise += int256(uint256(terms.rolloverAt));
            return (rise >= 0, rise);
        }
    }

    /// @dev One mWh is 3.6 watt-seconds; `rise` is not below zero.
    function _fits(Terms memory terms, int256 rise, uint40 from, uint40 to)
        private pure returns (bool)
    {
        unchecked { // `to` is not before `from`, and no factor has more than 81 bits
            uint256 duration = uint256(to) - from + GRACE_SECONDS;
            return uint256(rise) * 36 <= uint256(terms.fuseWatts) * duration * 10;
        }
    }

    /// @dev Rounded down: what is left of a unit is charged once the unit is whole.
    function _owed(uint256 total, Terms memory terms) private pure returns (int256) {
        return int256(total * terms.pricePerKwh / MWH_PER_KWH);
    }

    function _terms(bytes calldata raw) private pure returns (bool, Terms memory terms) {
        if (raw.length != 224) return (false, terms);
        uint256[7] memory word = abi.decode(raw, (uint256[7]));
        bool sound = (word[0] | word[3] | word[4]) <= type(uint64).max
            && word[1] <= type(uint32).max && word[1] != 0 && word[2] <= 1
            && (word[4] == 0 || word[3] < word[4]) && word[5] <= 1 && word[6] <= LEAST_ASSURANCE;
        (terms.pricePerKwh, terms.fuseWatts) = (uint64(word[0]), uint32(word[1]));
        (terms.continuous, terms.startRegister) = (word[2] == 1, uint64(word[3]));
        terms.rolloverAt = uint64(word[4]);
        (terms.export_, terms.assurance) = (word[5] == 1, uint8(word[6]));
        return (sound, terms);
    }

    /// @dev Read word by word: `abi.decode` into narrow types would revert, and a bad claim must not.
    function _facts(bytes calldata raw) private pure returns (bool, Facts memory facts) {
        if (raw.length != 224) return (false, facts);
        uint256[7] memory word = abi.decode(raw, (uint256[7]));
        bool sound = (word[0] | word[1]) <= type(uint64).max
            && int64(int256(word[2])) == int256(word[2])
            && (word[3] | word[4]) <= type(uint40).max && word[5] <= uint8(type(Kind).max)
            && word[6] <= type(uint48).max;
        if (!sound) return (false, facts);
        (facts.fromRegister, facts.toRegister) = (uint64(word[0]), uint64(word[1]));
        (facts.energy, facts.kind) = (int64(int256(word[2])), Kind(word[5]));
        (facts.fromTime, facts.toTime) = (uint40(word[3]), uint40(word[4]));
        facts.register = uint48(word[6]);
        return (true, facts);
    }
}
