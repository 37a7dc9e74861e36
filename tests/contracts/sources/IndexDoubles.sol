// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Index} from "../../../contracts/products/index/Index.sol";

/// Asks a product many times in one call.
contract ManyAmounts {
    function amountsOf(Index product, bytes[] calldata terms, bytes[] calldata facts)
        external
        view
        returns (uint8[] memory refusals, int256[] memory amounts)
    {
        (refusals, amounts) = (new uint8[](facts.length), new int256[](facts.length));
        for (uint256 i; i < facts.length; ++i) {
            (refusals[i], amounts[i]) = product.amountOf(terms[i], facts[i]);
        }
    }
}
