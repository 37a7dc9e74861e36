// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProduct} from "../interfaces/IProduct.sol";

/// @title Energy by the meter's register, charged by cumulative rounding so that no rounding
/// drifts.
/// @notice Registers and energy are mWh, times Unix seconds, prices token minor units per kWh.
/// Terms: abi.encode(uint64 pricePerKwh, uint32 fuseWatts, bool continuous, uint64 startRegister).
/// Facts: abi.encode(uint64 fromRegister, uint64 toRegister, uint64 energy, uint40 fromTime,
/// uint40 toTime).
/// Warning: it bounds what a meter may say (the fuse, the register's direction); it cannot know
/// the truth.
contract MeteredEnergy is IProduct {
    struct State {
        uint64 register; // where the last claim ended
        uint64 total; // mWh charged so far
        uint40 time; // when the last claim ended
        bool open; // keeps the slot non-zero: the first claim costs what the next ones do
        bool claimed;
    }

    struct Terms {
        uint64 pricePerKwh;
        uint32 fuseWatts;
        bool continuous;
        uint64 startRegister;
    }

    struct Facts {
        uint64 fromRegister;
        uint64 toRegister;
        uint64 energy;
        uint40 fromTime;
        uint40 toTime;
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
        FuseExceeded
    }

    uint256 private constant MWH_PER_KWH = 1_000_000;
    uint256 private constant GRACE_SECONDS = 60; // meters stamp whole minutes

    address public immutable rail;
    mapping(bytes32 agreement => Terms) public termsOf;
    mapping(bytes32 agreement => State) public stateOf;

    modifier onlyRail() {
        if (msg.sender != rail) revert NotTheRail(msg.sender);
        _;
    }

    constructor(address rail_) {
        rail = rail_;
    }

    function name() external pure returns (string memory) {
        return "metered_energy";
    }

    function refusalName(uint8 refusal) external pure returns (string memory) {
        string[9] memory names = [
            "Priced",
            "OverLimit",
            "FactsMalformed",
            "RegisterBackwards",
            "RegisterDiscontinuous",
            "EnergyAboveRegister",
            "EnergyIncomplete",
            "TimeBackwards",
            "FuseExceeded"
        ];
        return refusal < names.length ? names[refusal] : "";
    }

    function open(bytes32 agreement, bytes calldata terms) external onlyRail {
        // resolve
        (bool sound, Terms memory agreed) = _terms(terms);
        // check
        if (!sound) revert TermsMalformed(terms);
        // effect
        termsOf[agreement] = agreed;
        stateOf[agreement] = State({
            register: agreed.startRegister, total: 0, time: 0, open: true, claimed: false
        });
    }

    function price(Quote[] calldata quotes) external onlyRail returns (Price[] memory prices) {
        prices = new Price[](quotes.length);
        for (uint256 i; i < quotes.length; ++i) {
            (uint48 amount, Answer answer) = _price(quotes[i]);
            prices[i] = Price({amount: amount, refusal: uint8(answer)});
        }
    }

    function _price(Quote calldata quote) private returns (uint48, Answer) {
        // resolve
        (bool sound, Facts memory facts) = _facts(quote.facts);
        if (!sound) return (0, Answer.FactsMalformed);
        Terms memory terms = termsOf[quote.agreement];
        State memory state = stateOf[quote.agreement];
        // check
        Answer answer = _judge(terms, state, facts);
        if (answer != Answer.Priced) return (0, answer);
        uint256 total = uint256(state.total) + facts.energy;
        if (total > type(uint64).max) return (0, Answer.FactsMalformed);
        uint256 amount = _owed(total, terms.pricePerKwh) - _owed(state.total, terms.pricePerKwh);
        if (amount > quote.limit) return (0, Answer.OverLimit);
        // effect
        stateOf[quote.agreement] = State({
            register: facts.toRegister,
            total: uint64(total),
            time: facts.toTime,
            open: true,
            claimed: true
        });
        return (uint48(amount), Answer.Priced);
    }

    function _judge(Terms memory terms, State memory state, Facts memory facts)
        private
        pure
        returns (Answer)
    {
        if (facts.toRegister < facts.fromRegister) return Answer.RegisterBackwards;
        if (facts.fromRegister < state.register) return Answer.RegisterBackwards;
        // A start register of 0 says "not known": the first claim may begin anywhere.
        bool anchored = state.claimed || terms.startRegister != 0;
        if (terms.continuous && anchored && facts.fromRegister != state.register) {
            return Answer.RegisterDiscontinuous;
        }
        uint256 counted = facts.toRegister - facts.fromRegister;
        if (facts.energy > counted) return Answer.EnergyAboveRegister;
        if (terms.continuous && facts.energy != counted) return Answer.EnergyIncomplete;
        if (facts.toTime < facts.fromTime) return Answer.TimeBackwards;
        if (facts.fromTime < state.time) return Answer.TimeBackwards;
        uint256 duration = uint256(facts.toTime) - facts.fromTime + GRACE_SECONDS;
        // One mWh is 3.6 watt-seconds.
        if (uint256(facts.energy) * 36 > uint256(terms.fuseWatts) * duration * 10) {
            return Answer.FuseExceeded;
        }
        return Answer.Priced;
    }

    /// Rounded down: what is left of a unit is charged once it is whole.
    function _owed(uint256 total, uint256 pricePerKwh) private pure returns (uint256) {
        return total * pricePerKwh / MWH_PER_KWH;
    }

    function _terms(bytes calldata raw) private pure returns (bool, Terms memory terms) {
        if (raw.length != 128) return (false, terms);
        uint256[4] memory word = abi.decode(raw, (uint256[4]));
        bool sound = word[0] <= type(uint64).max && word[1] <= type(uint32).max && word[1] != 0
            && word[2] <= 1 && word[3] <= type(uint64).max;
        terms = Terms(uint64(word[0]), uint32(word[1]), word[2] == 1, uint64(word[3]));
        return (sound, terms);
    }

    /// Read word by word: `abi.decode` into narrow types would revert, and a bad claim must not.
    function _facts(bytes calldata raw) private pure returns (bool, Facts memory facts) {
        if (raw.length != 160) return (false, facts);
        uint256[5] memory word = abi.decode(raw, (uint256[5]));
        bool sound = (word[0] | word[1] | word[2]) <= type(uint64).max
            && (word[3] | word[4]) <= type(uint40).max;
        facts = Facts(
            uint64(word[0]), uint64(word[1]), uint64(word[2]), uint40(word[3]), uint40(word[4])
        );
        return (sound, facts);
    }
}
