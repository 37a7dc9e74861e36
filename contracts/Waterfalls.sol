// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";

import {IWaterfall} from "./interfaces/IWaterfall.sol";
import {IWaterfalls} from "./interfaces/IWaterfalls.sol";
import {Waterfall} from "./Waterfall.sol";

/// @title Makes waterfalls, each once.
/// @notice IWaterfalls documents it.
contract Waterfalls is IWaterfalls {
    uint256 private constant MOST_HOLDERS = 16;
    uint256 private constant ALL = 10_000; // basis points

    /// @inheritdoc IWaterfalls
    address public immutable implementation;
    /// @inheritdoc IWaterfalls
    address public immutable rail;

    constructor(address rail_, address token_) {
        rail = rail_;
        implementation = address(new Waterfall(rail_, token_));
    }

    /// @inheritdoc IWaterfalls
    function create(IWaterfall.Terms calldata terms) external returns (address waterfall) {
        // resolve
        waterfall = addressOf(terms);
        // check
        if (waterfall.code.length != 0) revert WaterfallExists(waterfall);
        _requireSenior(terms);
        _requireHolders(terms.holders, terms.shares);
        // effect
        Clones.cloneDeterministicWithImmutableArgs(implementation, abi.encode(terms), 0);
        // event
        emit WaterfallCreated(waterfall, terms);
    }

    /// @inheritdoc IWaterfalls
    function addressOf(IWaterfall.Terms calldata terms) public view returns (address) {
        return Clones.predictDeterministicAddressWithImmutableArgs(
            implementation, abi.encode(terms), 0
        );
    }

    function _requireSenior(IWaterfall.Terms calldata terms) private pure {
        address senior = terms.senior;
        bool isNone = terms.seniorShare == 0 && terms.seniorLimit == 0;
        bool isWhole = terms.seniorShare != 0 && terms.seniorLimit != 0;
        if (senior == address(0) ? !isNone : !isWhole) revert SeniorInvalid(senior);
        if (terms.seniorShare > ALL) revert SeniorInvalid(senior);
    }

    function _requireHolders(address[] calldata holders, uint16[] calldata shares) private pure {
        if (holders.length == 0 || holders.length > MOST_HOLDERS || holders.length != shares.length)
        {
            revert HoldersInvalid(holders.length, shares.length);
        }
        address previous;
        uint256 sum;
        bool hasZero;
        for (uint256 i; i < holders.length; ++i) {
            if (holders[i] <= previous) revert HolderInvalid(holders[i]);
            previous = holders[i];
            sum += shares[i];
            if (shares[i] == 0) hasZero = true;
        }
        if (hasZero || sum != ALL) revert SharesInvalid(sum);
    }
}
