// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IEuroToken} from "../interfaces/IEuroToken.sol";
import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {Claims} from "../libraries/Claims.sol";
import {RailDebts} from "./RailDebts.sol";

/// @title How settled money leaves: the dispute window, releases and withdrawals.
/// @notice Holds what happens to a payment after its settlement. Nothing here looks at the pause.
abstract contract RailPayouts is RailDebts {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    uint256 private constant CENT = 10_000; // token minor units

    /// @inheritdoc IPaymentRail
    function setPayoutAccount(bytes32 account) external {
        // effect
        payoutAccount[msg.sender] = account;
        // event
        emit PayoutAccountSet(msg.sender, account);
    }

    /// @inheritdoc IPaymentRail
    function release(address payee, uint32[] calldata releaseTimes) external nonReentrant {
        // resolve
        bytes32 account = payoutAccount[payee];
        uint256 matured = _takeMatured(payee, releaseTimes);
        uint256 rest = matured - _payDebts(payee, matured);
        uint256 whole = account == 0 ? 0 : _wholeCents(rest + withdrawable[payee]);
        // check
        if (matured == 0 && whole == 0) revert NothingDue(payee);
        // effect
        _totals.pending -= matured.toUint64();
        _addWithdrawable(payee, rest);
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
        // resolve
        uint256 have = withdrawable[msg.sender];
        // check
        if (amount == 0) revert NothingDue(msg.sender);
        if (amount > have) revert BalanceShort(have, amount);
        // effect
        _takeWithdrawable(msg.sender, amount);
        // event
        emit Withdrawn(msg.sender, to, amount);
        // interaction
        token.safeTransfer(to, amount);
    }

    /// @inheritdoc IPaymentRail
    function dispute(
        bytes32 agreement,
        uint32 sequence,
        Outcome calldata outcome,
        bytes32 root,
        bytes32[] calldata proof
    ) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        bytes32 payment = Claims.payment(agreement, sequence);
        Dispute memory dispute_ = frozen[payment];
        uint48 amount = outcome.amount > 0 ? uint48(outcome.amount) : 0;
        // check
        if (msg.sender != agreement_.payer && !_wardenMay(agreement_.device)) {
            revert NotParty(msg.sender);
        }
        if (settledAt[root] == 0 || !MerkleProof.verify(proof, root, Claims.leaf(outcome))) {
            revert ProofInvalid(root);
        }
        if (outcome.payment != payment || amount == 0 || dispute_.agreement != 0) {
            revert NotDisputable(payment);
        }
        if (block.timestamp >= outcome.releaseAt) revert WindowOver(outcome.releaseAt);
        // effect
        pending[outcome.payee][outcome.releaseAt] -= amount;
        _totals.pending -= amount;
        _paidTotals.frozen += amount;
        frozen[payment] = Dispute({agreement: agreement, amount: amount, payee: outcome.payee});
        // event
        emit PaymentDisputed(payment, agreement_.payer, outcome.payee, amount);
    }

    /// @inheritdoc IPaymentRail
    function concede(bytes32 payment) external nonReentrant {
        // resolve, check
        Agreement storage agreement_ = _disputed(payment);
        if (msg.sender != frozen[payment].payee) revert NotParty(msg.sender);
        // effect, event
        _endDispute(payment, agreement_, true);
    }

    /// @inheritdoc IPaymentRail
    function retract(bytes32 payment) external nonReentrant {
        // resolve, check
        Agreement storage agreement_ = _disputed(payment);
        if (msg.sender != agreement_.payer) revert NotParty(msg.sender);
        // effect, event
        _endDispute(payment, agreement_, false);
    }

    /// @inheritdoc IPaymentRail
    function rule(bytes32 payment, bool refund, bytes[] calldata signatures)
        external
        nonReentrant
    {
        // resolve, check
        Agreement storage agreement_ = _disputed(payment);
        committee.rulingQuorum(payment, refund, signatures);
        // effect, event
        _endDispute(payment, agreement_, refund);
    }

    function _disputed(bytes32 payment) private view returns (Agreement storage) {
        Dispute memory dispute_ = frozen[payment];
        if (dispute_.amount == 0) revert NotDisputed(payment);
        return _agreements[dispute_.agreement];
    }

    function _endDispute(bytes32 payment, Agreement storage agreement_, bool refund) private {
        Dispute memory dispute_ = frozen[payment];
        uint48 amount = dispute_.amount;
        frozen[payment].amount = 0; // the agreement stays: a payment is disputed once
        _paidTotals.frozen -= amount;
        if (refund) _addEscrow(agreement_, amount);
        else _addWithdrawable(dispute_.payee, amount);
        emit DisputeEnded(payment, refund, amount);
    }

    function _wardenMay(bytes32 device) private view returns (bool) {
        return msg.sender == registry.warden() && registry.compromisedSince(device) != 0;
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

    function _takeWithdrawable(address payee, uint256 amount) private {
        withdrawable[payee] -= amount;
        _paidTotals.withdrawable -= amount.toUint64();
    }

    function _wholeCents(uint256 amount) private pure returns (uint256) {
        return amount - amount % CENT;
    }
}
