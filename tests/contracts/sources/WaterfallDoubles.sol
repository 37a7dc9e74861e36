// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IWaterfall} from "../../../contracts/interfaces/IWaterfall.sol";

/// A token that calls whoever gets it.
contract CallingToken is ERC20("calling", "CALL") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(0) && to.code.length != 0) Holder(to).onTokens(msg.sender);
    }
}

/// A holder that is a contract: it takes when the test says so, and then does what it was set to.
contract Holder {
    enum Mood {
        CALM,
        TAKE_AGAIN,
        PAY_OUT,
        PULL,
        REFUSE
    }

    Mood private _mood;

    error Refused();

    function set(Mood mood) external {
        _mood = mood;
    }

    function take(address waterfall) external returns (uint256) {
        return IWaterfall(waterfall).take();
    }

    function onTokens(address waterfall) public {
        if (_mood == Mood.TAKE_AGAIN) IWaterfall(waterfall).take();
        if (_mood == Mood.PAY_OUT) IWaterfall(waterfall).payOut(address(this));
        if (_mood == Mood.PULL) IWaterfall(waterfall).pull(address(this));
        if (_mood == Mood.REFUSE) revert Refused();
    }

    // --- what a rail answers, for a holder that says that it is one

    function withdrawable(address) external pure returns (uint256) {
        return 1;
    }

    function owed(address) external pure returns (uint256) {
        return 0;
    }

    function withdraw(address waterfall, uint256) external {
        onTokens(waterfall);
    }
}

/// Sends tokens and lets holders take, many steps in one call.
contract ManySteps {
    /// What each step of a take gave.
    event StepsDone(uint256[] taken);

    Holder[] public holders;

    constructor(uint256 count) {
        for (uint256 i; i < count; ++i) {
            holders.push(new Holder());
        }
    }

    /// step: the index of a holder plus one, that takes; zero: `amounts` of that step comes in.
    function run(
        address token,
        IWaterfall waterfall,
        uint8[] calldata steps,
        uint64[] calldata amounts
    ) external {
        uint256[] memory taken = new uint256[](steps.length);
        for (uint256 i; i < steps.length; ++i) {
            if (steps[i] == 0) {
                ERC20(token).transfer(address(waterfall), amounts[i]);
                continue;
            }
            Holder holder = holders[steps[i] - 1];
            if (waterfall.owedTo(address(holder)) != 0) taken[i] = holder.take(address(waterfall));
        }
        emit StepsDone(taken);
    }
}
