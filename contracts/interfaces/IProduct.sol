// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What every payment product is to the rail: it keeps an agreement's terms and prices
/// claims.
/// @notice Oracles attest facts, never amounts; the product alone turns facts into an amount.
/// Every product is deployed with the same arguments: (address rail, address registry).
/// Warning: a product may give back at most what it charged on the same agreement; the rail cannot
/// check that for it.
interface IProduct {
    /// One claim as the rail hands it over, already checked for sequence and mandate.
    struct Quote {
        bytes32 agreement;
        bytes32 device;
        uint48 limit; // the most that may be charged: what cap and escrow leave
        bool late; // its counters begin at or below the last claimed one; only with Traits.LATE
        bytes facts;
    }

    /// Answer to a quote. `refusal` 0 means priced; 1 (OVER_LIMIT) means more than `limit`; others
    /// are the product's own and are named by `refusalName`.
    struct Price {
        int48 amount; // token minor units (6 decimals); below zero the payee owes it to the payer
        uint8 refusal;
        address payee; // with Traits.ANY_PAYEE who is paid; zero otherwise
    }

    error NotTheRail(address caller);
    error TermsMalformed(bytes terms);

    function name() external view returns (string memory);

    function refusalName(uint8 refusal) external view returns (string memory);

    /// What the product asks of the rail: a sum of the constants in libraries/Traits.sol. The rail
    /// reads it once, when the steward allows the product.
    function traits() external view returns (uint8);

    /// Remembers the terms of a new agreement. Only the rail may call.
    function open(bytes32 agreement, bytes32 device, bytes calldata terms) external;

    /// Prices claims and advances their state; a refused quote changes nothing. Only the rail may
    /// call.
    function price(Quote[] calldata quotes) external returns (Price[] memory);
}
