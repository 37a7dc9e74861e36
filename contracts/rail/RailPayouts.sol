// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IEuroToken} from "../interfaces/IEuroToken.sol";
import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {Disputes} from "../Disputes.sol";
import {Claims} from "../libraries/Claims.sol";
import {RailDebts} from "./RailDebts.sol";

/// @title How settled money leaves: releases, withdrawals, and payments that a dispute freezes.
/// @notice Debts come first on every way out: what a payee owes stays in the rail until its debts
/// are paid. Nothing here looks at the pause.
abstract contract RailPayouts is RailDebts {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// One slot: how strangers may cause a payee's orders.
    struct PayoutLimits {
        uint48 minimum;
        uint32 lastDay;
    }

    uint256 private constant CENT = 10_000; // token minor units

    /// @inheritdoc IPaymentRail
    address public immutable disputes;
    /// @inheritdoc IPaymentRail
    mapping(address payee => bytes32) public payoutAccount;
    /// @inheritdoc IPaymentRail
    mapping(address payee => PayoutLimits) public payoutLimits;

    constructor() {
        disputes = address(new Disputes(this, token, committee, registry, authority()));
    }

    /// @inheritdoc IPaymentRail
    function setPayoutAccount(bytes32 account, uint48 minimum) external {
        // effect
        payoutAccount[msg.sender] = account;
        payoutLimits[msg.sender].minimum = minimum;
        // event
        emit PayoutAccountSet(msg.sender, account, minimum);
    }

    /// @inheritdoc IPaymentRail
    function release(address payee, uint32[] calldata releaseTimes) external nonReentrant {
        // resolve
        bytes32 account = payoutAccount[payee];
        uint256 matured = _takeMatured(payee, releaseTimes);
        // effect: what matured may still be kept back for debts
        _totals.pending -= matured.toUint64();
        _addWithdrawable(payee, matured);
        uint256 paid = _payDebtsFirst(payee);
        uint256 whole = account == 0 ? 0 : _orderable(payee);
        // check
        if (matured == 0 && whole == 0 && paid == 0) revert NothingDue(payee);
        // effect
        if (whole != 0) {
            _takeWithdrawable(payee, whole);
            _paidTotals.redeemed += whole.toUint64();
        }
        // event
        emit Released(payee, matured, releaseTimes);
        // interaction
        if (whole != 0) IEuroToken(address(token)).redeem(payee, account, whole);
    }

    /// @inheritdoc IPaymentRail
    function withdraw(address to, uint256 amount) external nonReentrant {
        // effect, event
        _payDebtsFirst(msg.sender);
        // resolve
        uint256 free = _free(msg.sender);
        // check
        if (amount == 0) revert NothingDue(msg.sender);
        if (amount > free) revert BalanceShort(free, amount);
        // effect
        _takeWithdrawable(msg.sender, amount);
        // event
        emit Withdrawn(msg.sender, to, amount);
        // interaction
        token.safeTransfer(to, amount);
    }

    /// @inheritdoc IPaymentRail
    function freeze(
        bytes32 agreement,
        uint32 sequence,
        Outcome calldata outcome,
        bytes32 root,
        bytes32[] calldata proof
    ) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        bytes32 payment = Claims.payment(agreement, sequence);
        uint48 amount = outcome.amount > 0 ? uint48(outcome.amount) : 0;
        // check
        _requireDisputes();
        if (settledAt[root].time == 0 || !MerkleProof.verify(proof, root, Claims.leaf(outcome))) {
            revert ProofInvalid(root);
        }
        if (outcome.payment != payment || amount == 0 || frozen[payment].agreement != 0) {
            revert NotDisputable(payment);
        }
        if (block.timestamp >= outcome.releaseAt) revert WindowOver(outcome.releaseAt);
        // effect
        pending[outcome.payee][outcome.releaseAt] -= amount;
        _totals.pending -= amount;
        _paidTotals.frozen += amount;
        frozen[payment] = Frozen({agreement: agreement, amount: amount, payee: outcome.payee});
        // event
        emit PaymentDisputed(payment, agreement_.payer, outcome.payee, amount);
    }

    /// @inheritdoc IPaymentRail
    function unfreeze(bytes32 payment, bool refund) external nonReentrant {
        // resolve
        Frozen memory frozen_ = frozen[payment];
        // check
        _requireDisputes();
        if (frozen_.amount == 0) revert NotDisputed(payment);
        // effect
        frozen[payment].amount = 0; // the agreement stays: a payment is disputed once
        _paidTotals.frozen -= frozen_.amount;
        uint256 kept = refund ? _refund(frozen_) : frozen_.amount;
        _addWithdrawable(frozen_.payee, kept);
        // event
        emit DisputeEnded(payment, refund, frozen_.amount, refund ? uint48(kept) : 0);
    }

    /// @dev Gives back what the agreement charged and did not give back yet. What is beyond that was
    /// corrected before: an open debt for it no longer stands, a paid one is the payee's again.
    function _refund(Frozen memory frozen_) private returns (uint256 kept) {
        Agreement storage agreement_ = _agreements[frozen_.agreement];
        uint256 charged = agreement_.cameIn - _row(frozen_.agreement).escrow();
        uint256 back = charged - agreement_.givenBack;
        if (back > frozen_.amount) back = frozen_.amount;
        kept = frozen_.amount - back;
        kept -= _cancelDebt(frozen_.payee, frozen_.agreement, kept);
        agreement_.givenBack += uint64(back);
        _addEscrow(frozen_.agreement, _row(frozen_.agreement), frozen_.amount - kept);
        // interaction: a product that fails must not keep the payer's money
        try IProduct(_productOf(agreement_)).refunded(frozen_.agreement, uint48(back)) {} catch {}
    }

    function _takeMatured(address payee, uint32[] calldata releaseTimes)
        private
        returns (uint256 sum)
    {
        for (uint256 i; i < releaseTimes.length; ++i) {
            uint32 due = releaseTimes[i];
            if (due > block.timestamp) revert NotYetDue(due);
            sum += pending[payee][due];
            delete pending[payee][due];
        }
    }

    function _payDebtsFirst(address payee) private returns (uint256 paid) {
        paid = _payDebts(payee, withdrawable[payee]);
        if (paid != 0) _takeWithdrawable(payee, paid);
    }

    /// @dev What a payee has beyond its debts.
    function _free(address payee) private view returns (uint256) {
        (uint256 have, uint256 need) = (withdrawable[payee], owed(payee));
        return have > need ? have - need : 0;
    }

    /// @dev The whole cents that this call may order; a stranger's order counts for the day.
    function _orderable(address payee) private returns (uint256 whole) {
        whole = _free(payee);
        whole -= whole % CENT;
        if (msg.sender == payee || whole == 0) return whole;
        PayoutLimits storage limits = payoutLimits[payee];
        uint32 today = uint32(block.timestamp / 1 days);
        if (whole < limits.minimum || limits.lastDay == today) return 0;
        limits.lastDay = today;
    }

    function _requireDisputes() private view {
        if (msg.sender != disputes) revert NotDisputes(msg.sender);
    }
}
