// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from
    "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IEuroToken} from "./interfaces/IEuroToken.sol";
import {IPaymentRail} from "./interfaces/IPaymentRail.sol";
import {IWaterfall} from "./interfaces/IWaterfall.sol";

/// @title The code of all waterfalls. Each is a small contract that carries its terms and runs it.
/// @notice IWaterfall documents it. What a holder has earned is a function of all that ever came in:
/// the balance and what was taken. So nothing is stored when money arrives.
contract Waterfall is IWaterfall, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// One slot.
    struct Taking {
        uint192 amount;
        uint64 lastDay;
    }

    uint256 private constant ALL = 10_000; // basis points
    uint256 private constant CENT = 10_000; // token minor units

    /// @inheritdoc IWaterfall
    address public immutable rail;
    /// @inheritdoc IWaterfall
    address public immutable token;
    /// @inheritdoc IWaterfall
    mapping(address holder => Taking) public takenBy;
    /// @inheritdoc IWaterfall
    uint256 public taken;

    constructor(address rail_, address token_) {
        (rail, token) = (rail_, token_);
    }

    /// @inheritdoc IWaterfall
    function take() external nonReentrant returns (uint256 amount) {
        // interaction: first, since it changes what is here
        _pull(rail);
        // resolve
        amount = owedTo(msg.sender);
        // check
        if (amount == 0) revert NothingToTake(msg.sender);
        // effect
        _count(msg.sender, amount);
        // event
        emit Taken(msg.sender, amount);
        // interaction
        IERC20(token).safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IWaterfall
    function payOut(address holder) external nonReentrant returns (bytes32 order) {
        // interaction: first, since it changes what is here
        _pull(rail);
        // resolve
        uint256 whole = owedTo(holder);
        whole -= whole % CENT;
        bytes32 account = IPaymentRail(rail).payoutAccount(holder);
        // check
        if (account == 0) revert AccountMissing(holder);
        if (whole == 0) revert NothingToTake(holder);
        // check, effect
        if (msg.sender != holder) _countStranger(holder, whole);
        // effect
        _count(holder, whole);
        // interaction
        order = IEuroToken(token).redeem(holder, account, whole);
        // event: it names the order
        emit PaidOut(holder, order, whole);
    }

    /// @inheritdoc IWaterfall
    function pull(address source) external nonReentrant returns (uint256 amount) {
        // resolve
        uint256 before = IERC20(token).balanceOf(address(this));
        // interaction
        _pull(source);
        amount = IERC20(token).balanceOf(address(this)) - before;
    }

    /// @inheritdoc IWaterfall
    function terms() public view returns (Terms memory) {
        return abi.decode(Clones.fetchCloneArgs(address(this)), (Terms));
    }

    /// @inheritdoc IWaterfall
    function owedTo(address holder) public view returns (uint256) {
        return _earned(terms(), holder, received()) - takenBy[holder].amount;
    }

    /// @inheritdoc IWaterfall
    function received() public view returns (uint256) {
        return IERC20(token).balanceOf(address(this)) + taken;
    }

    /// @inheritdoc IWaterfall
    function waiting() external view returns (uint256) {
        return _free(rail);
    }

    /// @dev What a holder has earned of all that came in. It never falls as `sum` grows, and the
    /// parts of all never sum to more than it.
    function _earned(Terms memory terms_, address holder, uint256 sum)
        private
        pure
        returns (uint256 earned)
    {
        uint256 first = sum * terms_.seniorShare / ALL;
        if (first > terms_.seniorLimit) first = terms_.seniorLimit;
        if (holder == terms_.senior) earned = first;
        for (uint256 i; i < terms_.holders.length; ++i) {
            if (terms_.holders[i] == holder) earned += (sum - first) * terms_.shares[i] / ALL;
        }
    }

    function _pull(address source) private {
        uint256 free = _free(source);
        if (free != 0) IPaymentRail(source).withdraw(address(this), free);
    }

    function _free(address source) private view returns (uint256) {
        uint256 have = IPaymentRail(source).withdrawable(address(this));
        uint256 need = IPaymentRail(source).owed(address(this));
        return have > need ? have - need : 0;
    }

    function _count(address holder, uint256 amount) private {
        takenBy[holder].amount += amount.toUint192();
        taken += amount;
    }

    /// @dev A stranger's order counts for the day, as at the rail.
    function _countStranger(address holder, uint256 amount) private {
        (uint48 minimum,) = IPaymentRail(rail).payoutLimits(holder);
        uint64 today = uint64(block.timestamp / 1 days);
        if (amount < minimum || takenBy[holder].lastDay == today) revert PayoutLimited(holder);
        takenBy[holder].lastDay = today;
    }
}
