// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {Row} from "../libraries/Rows.sol";
import {RailState} from "./RailState.sol";

/// @title What payees owe to agreements: one debt per payee and agreement, the oldest first.
/// @notice Holds the queues, `repay` and `owed`. Nothing here looks at the pause. However many
/// debts there are, none shields another: what is owed never leaves the rail (RailPayouts).
abstract contract RailDebts is RailState {
    using SafeERC20 for IERC20;

    /// @notice The most agreements whose debts one call pays.
    uint256 public constant MAX_DEBTS = 32;

    /// One slot: the agreements from `first` to `end`, `end` left out, may have open debts.
    struct Queue {
        uint64 owed;
        uint64 first;
        uint64 end;
    }

    /// @inheritdoc IPaymentRail
    mapping(address payee => mapping(bytes32 agreement => uint256)) public owedTo;
    mapping(address payee => Queue) private _queueOf;
    mapping(address payee => mapping(uint256 number => bytes32 agreement)) private _creditors;

    /// @inheritdoc IPaymentRail
    function repay(uint256 amount) external nonReentrant {
        // resolve
        uint256 before = token.balanceOf(address(this));
        // effect, event
        uint256 paid = _payDebts(msg.sender, amount);
        // check
        if (paid == 0) revert NothingDue(msg.sender);
        // event
        emit Repaid(msg.sender, paid);
        // interaction: what does not really arrive undoes it all
        token.safeTransferFrom(msg.sender, address(this), paid);
        uint256 arrived = token.balanceOf(address(this)) - before;
        if (arrived != paid) revert BalanceShort(arrived, paid);
    }

    /// @inheritdoc IPaymentRail
    function owed(address payee) public view returns (uint256) {
        return _queueOf[payee].owed;
    }

    function _owe(address payee, bytes32 agreement, uint256 amount) internal {
        if (amount == 0) return;
        Queue memory queue = _queueOf[payee];
        if (owedTo[payee][agreement] == 0) _creditors[payee][queue.end++] = agreement;
        owedTo[payee][agreement] += amount;
        queue.owed += uint64(amount);
        _queueOf[payee] = queue;
        _paidTotals.owed += uint64(amount);
    }

    /// @dev Takes back up to `amount` of a debt that no longer stands.
    function _cancelDebt(address payee, bytes32 agreement, uint256 amount)
        internal
        returns (uint256 cancelled)
    {
        uint256 debt = owedTo[payee][agreement];
        cancelled = amount < debt ? amount : debt;
        if (cancelled == 0) return 0;
        owedTo[payee][agreement] = debt - cancelled; // its place in the queue may stay, empty
        _queueOf[payee].owed -= uint64(cancelled);
        _paidTotals.owed -= uint64(cancelled);
        emit DebtCancelled(agreement, payee, cancelled);
    }

    /// @dev Puts up to `money` into the escrows that the payee owes to, oldest debt first. The
    /// caller ensures that the rail holds `paid` tokens to which no one else has a claim.
    function _payDebts(address payee, uint256 money) internal returns (uint256 paid) {
        Queue memory queue = _queueOf[payee];
        if (queue.owed == 0) return 0;
        uint256 stop = uint256(queue.first) + MAX_DEBTS;
        if (stop > queue.end) stop = queue.end;
        while (paid < money && queue.first < stop) {
            bytes32 agreement = _creditors[payee][queue.first];
            uint256 debt = owedTo[payee][agreement];
            uint256 part = money - paid < debt ? money - paid : debt;
            if (part != 0) _payBack(payee, agreement, debt - part, part);
            paid += part;
            if (part == debt) delete _creditors[payee][queue.first++];
        }
        queue.owed -= uint64(paid);
        _queueOf[payee] = queue;
        _paidTotals.owed -= uint64(paid);
    }

    /// @dev Money that is back in the escrow can be charged again, so it counts as spent no more.
    function _payBack(address payee, bytes32 agreement, uint256 left, uint256 part) private {
        Row row = _row(agreement);
        uint256 spent = row.spent();
        owedTo[payee][agreement] = left;
        _addEscrow(agreement, row.withSpent(spent > part ? spent - part : 0), part);
        emit DebtPaid(agreement, payee, part);
    }
}
