// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Reply} from "../libraries/Quotes.sol";

/// @title What every payment product does for the rail: it keeps an agreement's terms and prices
/// claims.
/// @notice Oracles attest facts, never amounts; the product alone turns facts into an amount.
/// Every product is deployed with the same arguments: (address rail, address registry).
interface IProduct {
    /// @notice Only the rail may call.
    /// @param caller who called
    error NotTheRail(address caller);

    /// @notice The terms cannot be read, or make no sense.
    /// @param terms what was to be agreed
    error TermsMalformed(bytes terms);

    /// @notice Names the product.
    /// @return word a short name in snake_case, the same on every chain
    function name() external view returns (string memory word);

    /// @notice Says which version of the product this is: versions live side by side.
    /// @return number from 1; terms and facts may differ from version to version
    function version() external view returns (uint8 number);

    /// @notice Names one of the product's refusals.
    /// @param refusal a reply's refusal
    /// @return word the refusal's name; empty where there is none of that number
    function refusalName(uint8 refusal) external view returns (string memory word);

    /// @notice Says what the product asks of the rail. The rail reads it once, when the steward
    /// allows the product.
    /// @return mask a sum of the constants in libraries/Traits.sol
    function traits() external view returns (uint8 mask);

    /// @notice Keeps the terms of a new agreement. Only the rail may call.
    /// @param agreement id of the agreement
    /// @param device keccak256 of the device's name
    /// @param start facts before it are refused, Unix seconds
    /// @param terms the product's own terms, ABI-encoded
    /// @return grace seconds after the agreement's end in which claims may still come
    /// @return shared terms that other agreements may have as well: `price` is given them again
    /// @return note what the product keeps in the rail instead of in a slot of its own; 0: nothing
    function open(bytes32 agreement, bytes32 device, uint40 start, bytes calldata terms)
        external
        returns (uint32 grace, uint256 shared, uint80 note);

    /// @notice Prices claims and advances their state; a refused quote changes nothing. Only the
    /// rail may call.
    /// @dev libraries/Quotes.sol reads quotes and writes replies. A reply's amount is token minor
    /// units (6 decimals); below zero the payee owes it to the payer. Its refusal 0 means priced, 1
    /// (OVER_LIMIT) more than the limit; others are the product's own and are named by `refusalName`.
    /// With Traits.ANY_PAYEE it names who is paid, else the note to keep.
    /// @param shared for each group of the batch what `open` answered to its agreements
    /// @param count how many quotes there are, each of another agreement
    /// @param quotes the claims, already checked for sequence and mandate
    /// @return replies one to each quote, in order
    function price(uint256[] calldata shared, uint256 count, bytes calldata quotes)
        external
        returns (Reply[] memory replies);

    /// @notice Hears that money of an agreement was refunded by a dispute, so that a later
    /// correction of the same charge gives nothing back again. Only the rail may call.
    /// @param agreement id of the agreement
    /// @param amount token minor units
    function refunded(bytes32 agreement, uint48 amount) external;

    /// @notice Hears that payer and payee passed over a claim and its counters: its records are
    /// never charged. Only the rail may call.
    /// @param agreement id of the agreement
    /// @param note what the product keeps in the rail
    /// @return newNote what it keeps there from now on
    function skipped(bytes32 agreement, uint80 note) external returns (uint80 newNote);
}
