// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IWearableVoucher} from "../../../contracts/products/voucher/IWearableVoucher.sol";
import {Spending} from "../../../contracts/products/voucher/Spending.sol";

/// The least of a next version: it takes wearables over, and pays what the one before has not paid.
contract NextVoucher {
    IWearableVoucher public immutable predecessor;
    mapping(bytes32 wearable => Spending.State) public stateOf;
    mapping(bytes32 wearable => mapping(address payee => uint48)) private _paid;

    constructor(address predecessor_) {
        predecessor = IWearableVoucher(predecessor_);
    }

    function open(bytes32 wearable) external {
        stateOf[wearable] = predecessor.passOn(wearable);
    }

    function pay(bytes32 wearable, address payee, uint48 total) external returns (uint48 amount) {
        uint48 before = _paid[wearable][payee];
        if (before == 0) (before,) = predecessor.accountOf(wearable, payee);
        if (total <= before) return 0;
        _paid[wearable][payee] = total;
        return total - before;
    }
}
