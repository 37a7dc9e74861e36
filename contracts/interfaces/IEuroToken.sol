// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A tokenised bank deposit: one tEUR is one euro on the safeguarding account; six decimals.
/// @notice ERC-20 with ERC-2612 permits and ERC-3009 authorisations. Minted by the minter
/// against
/// one booked credit each; redeemed by any holder, in whole cents, against a payout order.
/// Warning: the minter's word is all that ties supply to the bank; reconciliation compares them.
/// Warning: a redemption burns before the bank pays; a payout that the bank rejects is minted
/// again by
/// the minter under the return's own credit id.
interface IEuroToken {
    event Minted(bytes32 indexed credit, address indexed to, uint256 amount);
    /// `cents` is what the bank owes the beneficiary; `order` is the payout's id from here on.
    event Redeemed(
        bytes32 indexed order,
        address indexed holder,
        address indexed beneficiary,
        bytes32 account,
        uint256 cents
    );

    error NotMinter(address caller);
    error CreditUsed(bytes32 credit);
    error CreditMissing();
    error AccountMissing();
    error NotWholeCents(uint256 amount);

    /// Mints `amount` against the bank credit `credit`. Only the minter; each credit once.
    function mint(bytes32 credit, address to, uint256 amount) external;

    /// The same, straight into an agreement's escrow on `rail`.
    function mintToEscrow(bytes32 credit, address rail, bytes32 agreement, uint256 amount) external;

    /// Burns the caller's tokens and orders a payout to `account` (a hash the bank knows).
    function redeem(address beneficiary, bytes32 account, uint256 amount)
        external
        returns (bytes32 order);

    /// Whether a bank credit was minted already.
    function creditUsed(bytes32 credit) external view returns (bool);

    /// How many payouts were ordered.
    function redemptions() external view returns (uint256);
}
