// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What every payment product is to the rail: it keeps an agreement's terms and prices
/// claims.
/// @notice Oracles attest facts, never amounts; the product alone turns facts into an amount.
interface IProduct {
    /// One claim as the rail hands it over, already checked for sequence, counters and mandate.
    struct Quote {
        bytes32 agreement;
        uint48 limit; // the most that may be charged: what cap and escrow leave
        bytes facts;
    }

    /// Answer to a quote. `refusal` 0 means priced; 1 (OVER_LIMIT) means more than `limit`; others
    /// are
    /// the product's own and are named by `refusalName`.
    struct Price {
        uint48 amount; // token minor units (6 decimals)
        uint8 refusal;
    }

    error NotTheRail(address caller);
    error TermsMalformed(bytes terms);

    function name() external view returns (string memory);

    function refusalName(uint8 refusal) external view returns (string memory);

    /// Remembers the terms of a new agreement. Only the rail may call.
    function open(bytes32 agreement, bytes calldata terms) external;

    /// Prices claims and advances their state; a refused quote changes nothing. Only the rail may
    /// call.
    function price(Quote[] calldata quotes) external returns (Price[] memory);
}
