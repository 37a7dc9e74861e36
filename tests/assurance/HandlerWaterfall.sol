// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IWaterfall} from "../../contracts/interfaces/IWaterfall.sol";
import {IWaterfalls} from "../../contracts/interfaces/IWaterfalls.sol";
import {HandlerMoney} from "./HandlerMoney.sol";

/// @title Payees that divide what they earn: made, fed by anyone, and taken from.
abstract contract HandlerWaterfall is HandlerMoney {
    uint256 private constant MOST_FALLS = 8;

    IWaterfall[] private _falls;
    mapping(IWaterfall fall => uint256) private _cameIn;
    mapping(IWaterfall fall => mapping(address holder => uint256)) private _tookFrom;
    mapping(IWaterfall fall => mapping(address holder => uint256)) private _dayOf;

    function createWaterfall(uint256 seed) external step(seed) {
        if (_falls.length == MOST_FALLS) return;
        IWaterfall.Terms memory terms = _someTerms();
        bool bad = _once(4);
        if (bad) terms.shares[0] += 1;
        bool again = !bad && _falls.length != 0 && _once(4);
        if (again) terms = _falls[_random(_falls.length)].terms();
        address made = waterfalls.addressOf(terms);
        bytes memory data = abi.encodeCall(IWaterfalls.create, (terms));
        if (!_call("Waterfalls.create", stranger, address(waterfalls), data, !bad && !again)) {
            return;
        }
        _falls.push(IWaterfall(made));
    }

    function feedWaterfall(uint256 seed) external step(seed) {
        if (_falls.length == 0) return;
        IWaterfall fall = _falls[_random(_falls.length)];
        address from = payers[_random(3)].account;
        uint256 amount = _random(_once(3) ? 10 : 3 * EURO);
        bytes memory data = abi.encodeCall(IERC20.transfer, (address(fall), amount));
        bool allowed = _balance(from) >= amount;
        if (_call("EuroToken.transfer", from, address(token), data, allowed)) {
            _cameIn[fall] += amount;
            _checkFall(fall);
        }
    }

    function takeFromWaterfall(uint256 seed) external step(seed) {
        if (_falls.length == 0) return;
        IWaterfall fall = _falls[_random(_falls.length)];
        address holder = _once(8) ? stranger : _anyPayee().account;
        uint256 due = _dueOf(fall, holder);
        uint256 before = _balance(holder);
        bytes memory data = abi.encodeCall(IWaterfall.take, ());
        if (!_call("Waterfall.take", holder, address(fall), data, due != 0)) return;
        _tookFrom[fall][holder] += due;
        _rule("a holder takes its part and no more", _balance(holder) - before == due);
        _checkFall(fall);
    }

    function payOutOfWaterfall(uint256 seed) external step(seed) {
        if (_falls.length == 0) return;
        IWaterfall fall = _falls[_random(_falls.length)];
        address holder = _anyPayee().account;
        address caller = _once(2) ? stranger : holder;
        uint256 whole = _dueOf(fall, holder) / CENT * CENT;
        bool allowed = whole != 0 && rail.payoutAccount(holder) != 0;
        (uint48 minimum,) = rail.payoutLimits(holder);
        uint256 today = clock / 1 days;
        if (caller == stranger) {
            allowed = allowed && whole >= minimum && _dayOf[fall][holder] != today;
        }
        bytes memory data = abi.encodeCall(IWaterfall.payOut, (holder));
        if (!_call("Waterfall.payOut", caller, address(fall), data, allowed)) return;
        if (caller == stranger) _dayOf[fall][holder] = today;
        _tookFrom[fall][holder] += whole;
        redeemed += whole;
        _checkFall(fall);
    }

    function pullIntoWaterfall(uint256 seed) external step(seed) {
        if (_falls.length == 0) return;
        IWaterfall fall = _falls[_random(_falls.length)];
        address source = _once(4) ? address(token) : address(rail);
        bytes memory data = abi.encodeCall(IWaterfall.pull, (source));
        bool allowed = source == address(rail);
        if (_call("Waterfall.pull", stranger, address(fall), data, allowed)) _checkFall(fall);
    }

    /// @dev What all waterfalls hold.
    function _inWaterfalls() internal view returns (uint256 held) {
        for (uint256 i; i < _falls.length; ++i) {
            held += _balance(address(_falls[i]));
        }
    }

    function _checkFall(IWaterfall fall) private {
        uint256 took;
        uint256 due;
        for (uint256 i; i < payees.length; ++i) {
            address holder = payees[i].account;
            took += _tookFrom[fall][holder];
            due += _dueOf(fall, holder);
            _rule("a waterfall owes what was earned", fall.owedTo(holder) == _dueOf(fall, holder));
        }
        uint256 held = _balance(address(fall));
        _rule("a waterfall holds what came in and was not taken", held == _cameIn[fall] - took);
        _rule("a waterfall can pay all of its holders", held >= due && held - due < 5);
    }

    /// @dev Shares of one to four payees, ascending, that sum to all.
    function _someTerms() private returns (IWaterfall.Terms memory terms) {
        uint256 count = 1 + _random(payees.length);
        terms.label = _word();
        (terms.holders, terms.shares) = (new address[](count), new uint16[](count));
        uint256 left = 10_000;
        for (uint256 i; i < count; ++i) {
            address holder = payees[i].account;
            uint256 place = i;
            for (; place > 0 && terms.holders[place - 1] > holder; --place) {
                terms.holders[place] = terms.holders[place - 1];
            }
            terms.holders[place] = holder;
            uint256 share = i + 1 == count ? left : 1 + _random(left - (count - i - 1));
            terms.shares[i] = uint16(share);
            left -= share;
        }
        if (_once(2)) return terms;
        terms.senior = payees[_random(payees.length)].account;
        terms.seniorShare = uint16(1 + _random(10_000));
        terms.seniorLimit = uint64(1 + _random(5 * EURO));
    }

    function _dueOf(IWaterfall fall, address holder) private view returns (uint256 due) {
        IWaterfall.Terms memory terms = fall.terms();
        uint256 sum = _cameIn[fall];
        uint256 first = sum * terms.seniorShare / 10_000;
        first = first < terms.seniorLimit ? first : terms.seniorLimit;
        if (terms.seniorShare != 0 && terms.senior == holder) due = first;
        for (uint256 i; i < terms.holders.length; ++i) {
            if (terms.holders[i] == holder) due += (sum - first) * terms.shares[i] / 10_000;
        }
        due -= _tookFrom[fall][holder];
    }
}
