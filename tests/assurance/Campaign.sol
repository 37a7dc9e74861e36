// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IDeviceWatching} from "../../contracts/interfaces/IDeviceWatching.sol";
import {IDisputes} from "../../contracts/interfaces/IDisputes.sol";
import {IEuroToken} from "../../contracts/interfaces/IEuroToken.sol";
import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {Rules} from "./Rules.sol";

/// @title The campaign: a rail with agreements and money, all handlers, and the rules.
contract Campaign is Rules {
    constructor() {
        _deployAll();
        _seatFirst();
        bytes memory data = abi.encodeCall(IDeviceWatching.watch, (address(rail)));
        _call("DeviceRegistry.watch", address(this), address(registry), data, true);
        for (uint256 i; i < KINDS; ++i) {
            rail.allowProduct(_productOf(Kind(i)));
            listed[_productOf(Kind(i))] = true;
        }
        committee.setChallenges(address(rail), address(challenges));
        challengesSet = true;
        (officerOf[owners[0].account], officerOf[owners[1].account]) = (true, true);
        officerCount = 2;
        for (uint256 i; i < payers.length; ++i) {
            _equip(payers[i].account, 5_000 * EURO);
        }
        for (uint256 i; i < payees.length; ++i) {
            _equip(payees[i].account, 2 * EURO);
        }
        for (uint256 i; i < 9; ++i) {
            _enrol(Kind(i % 3), false);
        }
        _enrol(Kind.Plain, false);
        _enrol(Kind.Plain, false);
        for (uint256 i; i < leaves.length; ++i) {
            _enrol(Kind(uint256(Kind.Plain) + 1 + i), false);
        }
        _enrol(Kind.Fleet, false);
        _enrol(Kind.Fleet, false);
        for (uint256 i; i < 3; ++i) {
            _enrolBefore(Kind(i));
        }
        for (uint256 i; i < devices.length; ++i) {
            _open(i);
        }
        for (uint256 i; i < 3; ++i) {
            _open(3 * i + 1); // deliveries to a device that has others
        }
        _open(11); // a second and a third agreement about one that reports
        _open(11);
        for (uint256 i; i < pacts.length; ++i) {
            _fundLive(i);
        }
    }

    /// @notice Checks every rule that is about no single call.
    function check() public {
        vm.warp(clock);
        _checkMoney();
        _checkPowers();
        _checkDevices();
        _checkDisputes();
    }

    /// @notice Ends the run: all who are owed take what is theirs, and nothing may be left.
    function drain() external {
        _naming = true;
        check();
        clock += 200 days; // longer than every grace, window, pause and deadline
        vm.warp(clock);
        while (cases.length != 0) {
            bytes memory data = abi.encodeCall(IDisputes.expire, (_paymentOf(cases[0].paid)));
            if (!_endCall("Disputes.expire", stranger, data, true, 0, Ending(false, false))) {
                return;
            }
        }
        for (uint256 i; i < payees.length; ++i) {
            address payee = payees[i].account;
            bool owing = withdrawableOf[payee] != 0 && _owedBy(payee) != 0;
            if (timesOf[payee].length != 0 || owing) _release(payee, false);
            uint256 owed = _owedBy(payee);
            if (withdrawableOf[payee] > owed) _withdraw(payee, withdrawableOf[payee] - owed, true);
        }
        for (uint256 i; i < pacts.length; ++i) {
            if (pacts[i].ended && pacts[i].escrow == 0) continue;
            bytes memory data = abi.encodeCall(IPaymentRail.reclaim, (pacts[i].id));
            if (_call("PaymentRail.reclaim", stranger, address(rail), data, true)) {
                pacts[i].escrow = 0;
            }
        }
        uint256 left;
        for (uint256 i; i < payees.length; ++i) {
            left += withdrawableOf[payees[i].account];
        }
        _rule("no money is stuck", left == 0 && _balance(address(rail)) == donations);
        _rule("no bond is stuck", _balance(address(disputes)) == 0);
    }

    /// @notice Adds the run's counts to the runner's file.
    function report() external {
        string memory folder = vm.envString("ASSURANCE_FOLDER");
        vm.writeLine(string.concat(folder, "/counts.jsonl"), _counts());
    }

    function _equip(address person, uint256 amount) private {
        vm.prank(minter);
        token.mint(_word(), person, amount);
        minted += amount;
        vm.prank(person);
        IERC20(address(token)).approve(address(rail), type(uint256).max);
        vm.prank(person);
        IERC20(address(token)).approve(address(disputes), type(uint256).max);
        vm.prank(person);
        IERC20(address(token)).approve(address(challenges), type(uint256).max);
    }
}
