// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProduct} from "../../contracts/interfaces/IProduct.sol";
import {Quote, Quotes, Reply} from "../../contracts/libraries/Quotes.sol";

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
    function open(bytes32, bytes32, uint40, bytes calldata)
        external
        pure
        returns (uint32, uint256, uint80)
    {
        return (0, 0, 0);
    }

    /// @inheritdoc IProduct
    function price(uint256[] calldata, uint256 count, bytes calldata quotes)
        external
        pure
        returns (Reply[] memory replies)
    {
        replies = new Reply[](count);
        Quote quote = Quotes.first(quotes);
        for (uint256 i; i < count; ++i) {
            int256 amount = abi.decode(quote.facts(), (int256));
            bool over = amount > int256(uint256(quote.limit()));
            replies[i] = over ? Quotes.refused(OVER_LIMIT) : Quotes.priced(amount, 0);
            quote = quote.next();
        }
    }

    /// @inheritdoc IProduct
    function refunded(bytes32, uint48) external pure {
        revert("it does not hear");
    }

    /// @inheritdoc IProduct
    function skipped(bytes32, uint80) external pure returns (uint80) {
        revert("it does not hear");
    }
}
