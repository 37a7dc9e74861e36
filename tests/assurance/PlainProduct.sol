// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProduct} from "../../contracts/interfaces/IProduct.sol";

/// @title A product that charges or corrects by what the facts name, and keeps nothing.
/// @notice It hears of no refund, and fails at each: what it gives back, the rail must bound.
contract PlainProduct is IProduct {
    uint8 private constant OVER_LIMIT = 1;

    /// @inheritdoc IProduct
    function name() external pure returns (string memory) {
        return "plain_product";
    }

    /// @inheritdoc IProduct
    function version() external pure returns (uint8) {
        return 1;
    }

    /// @inheritdoc IProduct
    function refusalName(uint8) external pure returns (string memory) {
        return "";
    }

    /// @inheritdoc IProduct
    function traits() external pure returns (uint8) {
        return 0;
    }

    /// @inheritdoc IProduct
    function open(bytes32, bytes32, uint40, bytes calldata) external pure returns (uint32) {
        return 0;
    }

    /// @inheritdoc IProduct
    function price(Quote[] calldata quotes) external pure returns (Price[] memory prices) {
        prices = new Price[](quotes.length);
        for (uint256 i; i < quotes.length; ++i) {
            int256 amount = abi.decode(quotes[i].facts, (int256));
            if (amount > int256(uint256(quotes[i].limit))) prices[i].refusal = OVER_LIMIT;
            else prices[i].amount = int48(amount);
        }
    }

    /// @inheritdoc IProduct
    function refunded(bytes32, uint48) external pure {
        revert("it does not hear");
    }

    /// @inheritdoc IProduct
    function skipped(bytes32) external pure {
        revert("it does not hear");
    }
}
