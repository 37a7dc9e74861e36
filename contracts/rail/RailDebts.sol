// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {RailState} from "./RailState.sol";

/// @title What payees owe to agreements: debts wait in a queue for the payee's next money.
/// @notice Holds the queues, `repay` and `owed`. Nothing here looks at the pause.
abstract contract RailDebts is RailState {
    using SafeERC20 for IERC20;

    /// @notice The most debts that one call pays.
    uint256 public constant MAX_DEBTS = 32;

    struct Debt {
        bytes32 agreement;
        uint48 amount;
    }

    /// One slot: the open debts are those numbered from `first` to `end`, `end` left out.
    struct Queue {
        uint64 owed;
        uint64 first;
        uint64 end;
    }

    mapping(address payee => Queue) private _queueOf;
    mapping(address payee => mapping(uint256 number => Debt)) private _debts;

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
    function owed(address payee) external view returns (uint256) {
        return _queueOf[payee].owed;
    }

    function _owe(address payee, bytes32 agreement, uint48 amount) internal {
        Queue memory queue = _queueOf[payee];
        _debts[payee][queue.end++] = Debt({agreement: agreement, amount: amount});
        queue.owed += amount;
        _queueOf[payee] = queue;
        _paidTotals.owed += amount;
    }

    /// @dev Puts up to `money` into the escrows that the payee owes to, oldest debt first. The
    /// caller ensures that the rail holds `paid` tokens to which no one else has a claim.
    function _payDebts(address payee, uint256 money) internal returns (uint256 paid) {
        Queue memory queue = _queueOf[payee];
        if (queue.owed == 0) return 0;
        uint256 stop = uint256(queue.first) + MAX_DEBTS;
        if (stop > queue.end) stop = queue.end;
        while (paid < money && queue.first < stop) {
            Debt memory debt = _debts[payee][queue.first];
            uint256 part = money - paid;
            if (part < debt.amount) {
                _debts[payee][queue.first].amount = debt.amount - uint48(part);
            } else {
                part = debt.amount;
                delete _debts[payee][queue.first++];
            }
            paid += part;
            _addEscrow(_agreements[debt.agreement], part);
            emit DebtPaid(debt.agreement, payee, part);
        }
        queue.owed -= uint64(paid);
        _queueOf[payee] = queue;
        _paidTotals.owed -= uint64(paid);
    }
}
