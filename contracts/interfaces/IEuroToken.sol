// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A tokenised bank deposit: one tEUR is one euro on the safeguarding account; six decimals.
/// @notice ERC-20 with ERC-2612 permits and ERC-3009 authorisations. A minter (Roles.MINTER) mints
/// against one booked bank credit each; any holder redeems whole cents against a payout order.
/// Warning: the minter's word is all that ties supply to the bank; reconciliation compares them.
/// Warning: a redemption burns before the bank pays; a payout that the bank rejects is minted
/// again by the minter under the return's own credit id.
interface IEuroToken {
    /// @notice The minter minted tokens against a bank credit.
    /// @param credit id of the bank credit
    /// @param to who got the tokens
    /// @param amount token minor units
    event Minted(bytes32 indexed credit, address indexed to, uint256 amount);

    /// @notice A holder burned tokens and ordered a payout.
    /// @param order the payout's id from here on:
    /// keccak256(abi.encode(chain id, this token, number of the redemption))
    /// @param holder whose tokens were burned
    /// @param beneficiary who is paid
    /// @param account hash of the bank account that is paid to
    /// @param cents what the bank owes the beneficiary, in euro cents
    event Redeemed(
        bytes32 indexed order,
        address indexed holder,
        address indexed beneficiary,
        bytes32 account,
        uint256 cents
    );

    /// @notice Only a holder of this role may call; libraries/Roles.sol numbers them.
    /// @param caller who called
    /// @param role the role
    error NotInRole(address caller, uint64 role);

    /// @notice Tokens were minted against this bank credit before.
    /// @param credit id of the bank credit
    error CreditUsed(bytes32 credit);

    /// @notice The id of the bank credit is zero.
    error CreditMissing();

    /// @notice The hash of the bank account is zero.
    error AccountMissing();

    /// @notice Only whole cents above zero can be redeemed.
    /// @param amount token minor units that were asked for
    error NotWholeCents(uint256 amount);

    /// @notice Mints against a bank credit. Only the minter; each credit once.
    /// @param credit id of the bank credit, not zero
    /// @param to who gets the tokens
    /// @param amount token minor units
    function mint(bytes32 credit, address to, uint256 amount) external;

    /// @notice Mints against a bank credit into an agreement's escrow. Only the minter; each credit
    /// once.
    /// @param credit id of the bank credit, not zero
    /// @param rail the rail that holds the agreement; it is called back (`onMint`)
    /// @param agreement id of the agreement
    /// @param amount token minor units
    function mintToEscrow(bytes32 credit, address rail, bytes32 agreement, uint256 amount) external;

    /// @notice Burns the caller's tokens and orders a payout.
    /// @param beneficiary who is paid
    /// @param account hash of a bank account, which the bank knows; not zero
    /// @param amount token minor units, whole cents
    /// @return order the payout's id
    function redeem(address beneficiary, bytes32 account, uint256 amount)
        external
        returns (bytes32 order);

    /// @notice Says whether tokens were minted against a bank credit.
    /// @param credit id of the bank credit
    /// @return used whether the credit is used up
    function creditUsed(bytes32 credit) external view returns (bool used);

    /// @notice Says how many payouts were ordered.
    /// @return count the number of redemptions so far
    function redemptions() external view returns (uint256 count);

    /// @notice Names the access manager that says who may mint.
    /// @return manager its address
    function authority() external view returns (address manager);
}
