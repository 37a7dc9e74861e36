// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Campaign} from "./Campaign.sol";

/// @title One campaign that asserts every rule after each call.
/// @notice forge runs a campaign for each `invariant_` function, so there is one.
contract InvariantsTest {
    /// As forge reads it.
    struct Selectors {
        address target;
        bytes4[] selectors;
    }

    Campaign private _campaign;

    function setUp() external {
        _campaign = new Campaign();
    }

    /// @notice Names the contract that forge calls: the handlers, and nothing else.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_campaign);
    }

    /// @notice Says which functions are not calls of the campaign.
    function excludeSelectors() external view returns (Selectors[] memory excluded) {
        excluded = new Selectors[](1);
        excluded[0].target = address(_campaign);
        excluded[0].selectors = new bytes4[](3);
        excluded[0].selectors[0] = Campaign.check.selector;
        excluded[0].selectors[1] = Campaign.drain.selector;
        excluded[0].selectors[2] = Campaign.report.selector;
    }

    function invariant_everyRuleHolds() external {
        _campaign.check();
        _requireWhole();
    }

    function afterInvariant() external {
        _campaign.drain();
        _requireWhole();
        _campaign.report();
    }

    function _requireWhole() private view {
        string memory broken = _campaign.broken();
        require(bytes(broken).length == 0, broken);
    }
}
