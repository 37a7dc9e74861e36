// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IEuroToken} from "../../contracts/interfaces/IEuroToken.sol";
import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {HandlerChallenges} from "./HandlerChallenges.sol";

/// @title Money that comes in, and every way out: releases, withdrawals, repayments, sweeps.
abstract contract HandlerMoney is HandlerChallenges {
    bytes32[] private _credits; // that were used

    function mint(uint256 seed) external step(seed) {
        bool again = _credits.length != 0 && _once(5);
        bytes32 credit = again ? _credits[_random(_credits.length)] : _word();
        address caller = _once(6) ? steward : minter;
        uint256 amount = _random(200 * EURO);
        uint256 to = _random(10);
        address to_ =
            to < 6 ? payers[to % 3].account : to < 9 ? payees[to % 4].account : address(rail);
        bool allowed = !again && caller == minter;
        bytes memory data = abi.encodeCall(IEuroToken.mint, (credit, to_, amount));
        if (!_call("EuroToken.mint", caller, address(token), data, allowed)) return;
        _rule("a bank credit is minted once", !again);
        _credits.push(credit);
        minted += amount;
        if (to_ == address(rail)) donations += amount;
    }

    function mintToEscrow(uint256 seed) external step(seed) {
        Pact storage pact = pacts[_random(pacts.length)];
        bool again = _credits.length != 0 && _once(5);
        bytes32 credit = again ? _credits[_random(_credits.length)] : _word();
        bool unknown = _once(8);
        bytes32 id = unknown ? _word() : pact.id;
        uint256 amount = _random(30 * EURO);
        bytes memory data =
            abi.encodeCall(IEuroToken.mintToEscrow, (credit, address(rail), id, amount));
        bool allowed = !again && !unknown;
        if (!_call("EuroToken.mintToEscrow", minter, address(token), data, allowed)) return;
        _rule("a bank credit is minted once", !again);
        _credits.push(credit);
        minted += amount;
        pact.escrow += amount;
    }

    function donate(uint256 seed) external step(seed) {
        address from = payers[_random(3)].account;
        uint256 amount = _random(3 * EURO);
        bytes memory data = abi.encodeCall(IERC20.transfer, (address(rail), amount));
        bool allowed = _balance(from) >= amount;
        if (_call("EuroToken.transfer", from, address(token), data, allowed)) donations += amount;
    }

    function sweep(uint256 seed) external step(seed) {
        bool may = !_once(4);
        address to = payers[0].account;
        bytes memory data = abi.encodeCall(IPaymentRail.sweep, (to));
        bool allowed = may && donations != 0;
        uint256 before = _balance(to);
        address caller = may ? address(this) : guardian;
        if (!_call("PaymentRail.sweep", caller, address(rail), data, allowed)) return;
        _rule("a sweep takes donations alone", _balance(to) - before == donations);
        donations = 0;
    }

    function redeem(uint256 seed) external step(seed) {
        address holder = _anyPayee().account;
        uint256 amount = _random(5) * CENT + (_once(4) ? 1 : 0);
        bool allowed = amount != 0 && amount % CENT == 0 && _balance(holder) >= amount;
        bytes memory data = abi.encodeCall(IEuroToken.redeem, (holder, _word(), amount));
        if (_call("EuroToken.redeem", holder, address(token), data, allowed)) redeemed += amount;
    }

    function setPayoutAccount(uint256 seed) external step(seed) {
        address payee = _anyPayee().account;
        bytes32 account = _once(3) ? bytes32(0) : _word();
        uint48 minimum = _once(2) ? 0 : uint48(_random(5 * EURO));
        bytes memory data = abi.encodeCall(IPaymentRail.setPayoutAccount, (account, minimum));
        _call("PaymentRail.setPayoutAccount", payee, address(rail), data, true);
        (accountOf[payee], minimumOf[payee]) = (account, minimum);
    }

    function release(uint256 seed) external step(seed) {
        _release(_anyPayee().account, true);
    }

    /// @dev Twice on one day, unless the second is at an edge of time.
    function releaseAgain(uint256 seed) external step(seed) {
        address payee = _anyPayee().account;
        _release(payee, true);
        _release(payee, true);
    }

    function withdraw(uint256 seed) external step(seed) {
        address payee = _anyPayee().account;
        uint256 have = withdrawableOf[payee];
        uint256 owed = _owedBy(payee);
        uint256 free = have > owed ? have - owed : 0;
        uint256 amount = _once(4) ? free + 1 : _random(free + 1);
        _withdraw(payee, amount, amount != 0 && amount <= free);
    }

    function repay(uint256 seed) external step(seed) {
        address payee = _anyPayee().account;
        uint256 owed = _owedBy(payee);
        uint256 amount = _random(owed + EURO);
        uint256 due = _least(amount, owed);
        bool allowed = due != 0 && _balance(payee) >= due;
        uint256 before = _balance(payee);
        bytes memory data = abi.encodeCall(IPaymentRail.repay, (amount));
        if (!_call("PaymentRail.repay", payee, address(rail), data, allowed)) return;
        _rule("a repayment costs what it pays", before - _balance(payee) == due);
        _payDebts(payee, due);
    }

    /// @dev Releases some of a payee's release times, as the payee or as a stranger.
    function _release(address payee, bool mixed) internal {
        uint256[] storage list = timesOf[payee];
        if (mixed && list.length != 0 && _once(6)) _jump(list[_random(list.length)], 4 days);
        (uint32[] memory times, uint256 matured, bool early) = _chooseTimes(payee, mixed);
        bool asPayee = !mixed || _once(2);
        uint256 have = withdrawableOf[payee] + matured;
        uint256 paid = _least(have, _owedBy(payee));
        uint256 whole = _orderable(payee, have - paid, asPayee);
        bool allowed = !early && (matured != 0 || whole != 0 || paid != 0);
        bytes memory data = abi.encodeCall(IPaymentRail.release, (payee, times));
        address caller = asPayee ? payee : stranger;
        if (!_call("PaymentRail.release", caller, address(rail), data, allowed)) return;
        _forgetTimes(payee, times);
        _payDebts(payee, paid);
        if (paid != 0) _hit("state:debt paid out of a release");
        withdrawableOf[payee] = have - paid - whole;
        (ordered, redeemed) = (ordered + whole, redeemed + whole);
        if (whole != 0 && !asPayee) strangersDay[payee] = clock / 1 days;
        _rule("debts are paid first on every way out", _debtsFirst(payee));
    }

    function _withdraw(address payee, uint256 amount, bool allowed) internal {
        uint256 before = _balance(payee);
        bytes memory data = abi.encodeCall(IPaymentRail.withdraw, (payee, amount));
        if (!_call("PaymentRail.withdraw", payee, address(rail), data, allowed)) return;
        uint256 paid = _payDebts(payee, withdrawableOf[payee]);
        if (paid != 0) _hit("state:debt paid out of a withdrawal");
        withdrawableOf[payee] -= paid + amount;
        _rule("a withdrawal gives what was asked for", _balance(payee) - before == amount);
        _rule("debts are paid first on every way out", _debtsFirst(payee));
    }

    function _debtsFirst(address payee) private view returns (bool) {
        return rail.withdrawable(payee) == 0 || rail.owed(payee) == 0;
    }

    /// @dev What this caller's release orders of what is free; strangers have limits.
    function _orderable(address payee, uint256 free, bool asPayee) private returns (uint256 whole) {
        if (accountOf[payee] == 0) return 0;
        whole = free / CENT * CENT;
        if (asPayee || whole == 0) return whole;
        bool small = whole < minimumOf[payee];
        bool twice = strangersDay[payee] == clock / 1 days;
        if (small) _hit("state:order below the payee's minimum");
        if (twice) _hit("state:second order of a day by strangers");
        return small || twice ? 0 : whole;
    }

    /// @dev Release times that are over, at times not all of them, now and then with one that is not,
    /// or one twice.
    function _chooseTimes(address payee, bool mixed)
        private
        returns (uint32[] memory times, uint256 matured, bool early)
    {
        uint256[] storage list = timesOf[payee];
        times = new uint32[](list.length + 1);
        uint256 count;
        bool careless = mixed && _once(8);
        bool some = mixed && _once(2);
        for (uint256 i; i < list.length; ++i) {
            bool due = list[i] <= clock;
            if (!due && !careless) continue;
            if (some && _once(2)) continue;
            early = early || !due;
            times[count++] = uint32(list[i]);
            matured += pendingOf[payee][list[i]];
        }
        if (count != 0 && _once(6)) times[count++] = times[0];
        assembly ("memory-safe") {
            mstore(times, count)
        }
    }

    function _forgetTimes(address payee, uint32[] memory times) private {
        for (uint256 i; i < times.length; ++i) {
            pendingOf[payee][times[i]] = 0;
        }
        uint256[] storage list = timesOf[payee];
        for (uint256 i = list.length; i > 0; --i) {
            if (pendingOf[payee][list[i - 1]] != 0) continue;
            list[i - 1] = list[list.length - 1];
            list.pop();
        }
    }
}
