// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IWaterfall} from "./IWaterfall.sol";

/// @title Makes waterfalls: the address of each follows from its terms, so it is known before.
/// @notice Anyone may create one. It has no owner and no role, and a waterfall needs it no more.
/// Warning: a holder has to be able to call its waterfall; the rail and the token cannot.
interface IWaterfalls {
    /// @notice A waterfall was created.
    /// @param waterfall its address
    /// @param terms who gets what
    event WaterfallCreated(address indexed waterfall, IWaterfall.Terms terms);

    /// @notice A waterfall with these terms is there already.
    /// @param waterfall its address
    error WaterfallExists(address waterfall);

    /// @notice There are no holders, or more than 16, or not one share for each.
    /// @param holders how many holders
    /// @param shares how many shares
    error HoldersInvalid(uint256 holders, uint256 shares);

    /// @notice A holder is zero, listed twice, or not in ascending order.
    /// @param holder the first that is wrong
    error HolderInvalid(address holder);

    /// @notice A share is zero, or the shares do not sum to 10,000 basis points.
    /// @param sum of all shares
    error SharesInvalid(uint256 sum);

    /// @notice A senior has address, share and limit, and a share of at most 10,000 basis points; or
    /// none of the three.
    /// @param senior its address
    error SeniorInvalid(address senior);

    /// @notice Creates the waterfall of these terms, once.
    /// @param terms who gets what
    /// @return waterfall its address
    function create(IWaterfall.Terms calldata terms) external returns (address waterfall);

    /// @notice Says where the waterfall of these terms is, or will be.
    /// @param terms who gets what
    /// @return waterfall its address
    function addressOf(IWaterfall.Terms calldata terms) external view returns (address waterfall);

    /// @notice Names the contract whose code all waterfalls run.
    /// @return contract_ its address
    function implementation() external view returns (address contract_);

    /// @notice Names the rail that waterfalls are payees of.
    /// @return contract_ its address
    function rail() external view returns (address contract_);
}
