// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";

import {IEuroToken} from "./interfaces/IEuroToken.sol";
import {IPaymentRail} from "./interfaces/IPaymentRail.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title The token: who may mint, the bank credits that are used up, and redemptions.
/// @notice IEuroToken documents it.
contract EuroToken is IEuroToken, ERC20Permit, ERC3009 {
    uint256 private constant CENT = 10_000; // minor units; the token has six decimals

    /// @inheritdoc IEuroToken
    address public immutable authority;
    /// @inheritdoc IEuroToken
    uint256 public redemptions;
    /// @inheritdoc IEuroToken
    mapping(bytes32 credit => bool) public creditUsed;

    constructor(address access) ERC20("Tokenised euro deposit", "tEUR") ERC20Permit("tEUR") {
        authority = access;
    }

    /// @notice Says how many decimals amounts have.
    /// @return six: one minor unit is a millionth of a euro
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @inheritdoc IEuroToken
    function mint(bytes32 credit, address to, uint256 amount) external {
        _mintAgainst(credit, to, amount);
    }

    /// @inheritdoc IEuroToken
    function mintToEscrow(bytes32 credit, address rail, bytes32 agreement, uint256 amount)
        external
    {
        // resolve, check, effect, event
        _mintAgainst(credit, rail, amount);
        // interaction
        IPaymentRail(rail).onMint(agreement, amount);
    }

    /// @inheritdoc IEuroToken
    function redeem(address beneficiary, bytes32 account, uint256 amount)
        external
        returns (bytes32 order)
    {
        // resolve
        order = keccak256(abi.encode(block.chainid, address(this), ++redemptions));
        // check
        if (account == 0) revert AccountMissing();
        if (amount == 0 || amount % CENT != 0) revert NotWholeCents(amount);
        // effect
        _burn(msg.sender, amount);
        // event
        emit Redeemed(order, msg.sender, beneficiary, account, amount / CENT);
    }

    function _mintAgainst(bytes32 credit, address to, uint256 amount) private {
        // check
        if (!Roles.holds(authority, Roles.MINTER, msg.sender)) {
            revert NotInRole(msg.sender, Roles.MINTER);
        }
        if (credit == 0) revert CreditMissing();
        if (creditUsed[credit]) revert CreditUsed(credit);
        // effect
        creditUsed[credit] = true;
        _mint(to, amount);
        // event
        emit Minted(credit, to, amount);
    }
}
