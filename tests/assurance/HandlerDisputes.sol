// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDisputes} from "../../contracts/interfaces/IDisputes.sol";
import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {HandlerSettle} from "./HandlerSettle.sol";
import {Trees} from "./Trees.sol";

/// @title Disputes: opened by payers, wardens and strangers, ended in each of the four ways.
abstract contract HandlerDisputes is HandlerSettle {
    using Trees for bytes32[];

    bytes32 private constant RULING_TYPE =
        keccak256("Ruling(address rail,bytes32 payment,bool refund)");

    uint256 private constant LATEST = 40; // payments that disputes are mostly about

    /// How a dispute ends.
    struct Ending {
        bool refund;
        bool back; // the bond goes to the challenger, else to the payee
    }

    function dispute(uint256 seed) external step(seed) {
        _dispute();
    }

    function disputeAgain(uint256 seed) external step(seed) {
        _dispute();
    }

    function _dispute() private {
        if (paids.length == 0) return;
        uint256 index = _latePaid();
        for (uint256 i; i < 6 && (paids[index].disputed || clock >= paids[index].releaseAt); ++i) {
            index = _latePaid();
        }
        if (_once(4)) {
            index = _disputedBefore(index);
        } else if (_once(3)) {
            index = _forgedAndOpen(index);
        } else if (_once(3)) {
            index = _correctedBefore(index);
        } else if (_once(2)) {
            index = _endsNext(index);
            _jump(paids[index].releaseAt, 4 days);
        }
        Paid storage paid = paids[index];
        Pact storage pact = pacts[paid.pact];
        uint256 who = _random(6);
        if (devices[pact.device].compromisedSince != 0 && _once(2)) who = 1;
        address caller = who == 0 ? stranger : who == 1 ? warden : payers[pact.payer].account;
        bool may = who == 1 ? devices[pact.device].compromisedSince != 0 : who != 0;
        if (who == 1 && may) _hit("state:payment of a stolen device disputed by a warden");
        uint256 bond = who == 1 ? 0 : _least(pact.bond, paid.amount);
        bool lie = _once(8);
        bool inTime = clock < paid.releaseAt;
        if (!inTime && !paid.disputed) _hit("state:dispute after the window");
        if (paid.disputed) _hit("state:dispute of what was disputed before");
        bool allowed = may && !lie && inTime && !paid.disputed && _balance(caller) >= bond;
        bytes memory data = _disputeCall(paid, lie);
        if (!_call("Disputes.dispute", caller, address(disputes), data, allowed)) return;
        _rule("a payment is disputed once, within its window", inTime && !paid.disputed);
        paid.disputed = true;
        pendingOf[paid.payee][paid.releaseAt] -= paid.amount;
        bonds += bond;
        cases.push(Case(index, caller, bond, clock));
        _hit("state:dispute open");
        if (_paused()) _hit("state:dispute opened during a pause");
        if (pendingOf[paid.payee][paid.releaseAt] >= paid.amount) {
            _hit("state:dispute again, and money of others to freeze");
            _call("Disputes.dispute", caller, address(disputes), data, false);
        }
    }

    function concede(uint256 seed) external step(seed) {
        if (cases.length == 0) return;
        uint256 index = _random(cases.length);
        bool may = _once(2);
        address caller = may ? paids[cases[index].paid].payee : stranger;
        bytes memory data = abi.encodeCall(IDisputes.concede, (_paymentOf(cases[index].paid)));
        _endCall("Disputes.concede", caller, data, may, index, Ending(true, true));
    }

    function retract(uint256 seed) external step(seed) {
        if (cases.length == 0) return;
        uint256 index = _random(cases.length);
        for (uint256 i; i < 3 && clock >= paids[cases[index].paid].releaseAt; ++i) {
            index = _random(cases.length);
        }
        Case storage case_ = cases[index];
        if (_once(2)) _jump(paids[case_.paid].releaseAt, 10 days);
        bool may = _once(2);
        bytes memory data = abi.encodeCall(IDisputes.retract, (_paymentOf(case_.paid)));
        address caller = may ? case_.challenger : stranger;
        bool harmless = clock < paids[case_.paid].releaseAt;
        if (may && !harmless) _hit("state:retracted too late for the bond");
        _endCall("Disputes.retract", caller, data, may, index, Ending(false, harmless));
    }

    function rule(uint256 seed) external step(seed) {
        _ruleOn();
    }

    function ruleAgain(uint256 seed) external step(seed) {
        _ruleOn();
    }

    function expire(uint256 seed) external step(seed) {
        if (cases.length == 0) return;
        uint256 index = _random(cases.length);
        for (uint256 i; i < 4 && !_isMoved(cases[index]); ++i) {
            index = _random(cases.length);
        }
        bool moved = _isMoved(cases[index]);
        if (_once(moved ? 2 : 7)) _jump(_deadlineOf(cases[index]), 40 days);
        bool over = clock > _deadlineOf(cases[index]);
        if (moved && !over && clock > cases[index].openedAt + 30 days) {
            _hit("state:deadline moved by a pause");
        }
        bytes memory data = abi.encodeCall(IDisputes.expire, (_paymentOf(cases[index].paid)));
        _endCall("Disputes.expire", stranger, data, over, index, Ending(false, false));
    }

    /// @dev Whether a pause moved the deadline of a dispute.
    function _isMoved(Case storage case_) private view returns (bool) {
        return _deadlineOf(case_) > case_.openedAt + 30 days;
    }

    function _ruleOn() private {
        if (cases.length == 0) return;
        uint256 index = _random(cases.length);
        for (uint256 i; i < 4 && pacts[paids[cases[index].paid].pact].domain == 0; ++i) {
            index = _random(cases.length);
        }
        Case storage case_ = cases[index];
        bytes32 payment = _paymentOf(case_.paid);
        bool refund = _once(2);
        uint216 excluded = _excluded(paids[case_.paid].signers);
        uint8 domain = pacts[paids[case_.paid].pact].domain;
        Signers memory signers = _signers(excluded, _ruling(payment, refund), domain);
        bool there = domain == 0 || (signers.domains >> domain) & 1 == 1;
        if (!there) _hit("state:ruling without the required domain");
        if (excluded != 0) _hit("state:ruling without those that attested");
        bytes memory data = abi.encodeCall(IDisputes.rule, (payment, refund, signers.signatures));
        bool allowed = signers.enough && there;
        bool ruled =
            _endCall("Disputes.rule", stranger, data, allowed, index, Ending(refund, refund));
        if (ruled) _rule("a quorum signed each ruling", signers.count >= _quorum() && there);
    }

    /// @dev Makes a call that ends a dispute, and moves the model by it.
    function _endCall(
        string memory name,
        address caller,
        bytes memory data,
        bool allowed,
        uint256 index,
        Ending memory ending
    ) internal returns (bool ended) {
        Case memory case_ = cases[index];
        address to = ending.back ? case_.challenger : paids[case_.paid].payee;
        uint256 before = _balance(to);
        ended = _call(name, caller, address(disputes), data, allowed);
        if (!ended) return false;
        _rule("a bond goes to who is right", _balance(to) == before + case_.bond);
        _end(index, ending);
    }

    function _ruling(bytes32 payment, bool refund) internal view returns (bytes32) {
        return keccak256(abi.encode(RULING_TYPE, address(rail), payment, refund));
    }

    function _paymentOf(uint256 paid) internal view returns (bytes32) {
        return keccak256(abi.encode(pacts[paids[paid].pact].id, paids[paid].sequence));
    }

    /// @dev Those that attested do not rule, where enough others from all trust domains can.
    function _excluded(uint216 attested) internal view returns (uint216) {
        (uint256 others, uint256 domains) = _ableCount(attested);
        (, uint256 all) = _ableCount(0);
        return others >= _quorum() && domains == all ? attested : 0;
    }

    /// @dev Moves the model by the end of a dispute.
    function _end(uint256 index, Ending memory ending) internal {
        Case memory case_ = cases[index];
        Paid storage paid = paids[case_.paid];
        Pact storage pact = pacts[paid.pact];
        address to = ending.back ? case_.challenger : paid.payee;
        uint256 kept = paid.amount;
        if (ending.refund) {
            uint256 back = _least(paid.amount, pact.charged - pact.givenBack);
            kept = paid.amount - back;
            uint256 cancelled = _least(kept, debtOf[paid.payee][paid.pact]);
            if (cancelled != 0) _hit("state:debt cancelled by a refund");
            if (kept != cancelled) _hit("state:refund of what was paid back before");
            debtOf[paid.payee][paid.pact] -= cancelled;
            kept -= cancelled;
            pact.givenBack += back;
            pact.escrow += paid.amount - kept;
            _refunded(paid.pact, back);
            _hit("state:payment refunded");
        }
        withdrawableOf[paid.payee] += kept;
        bonds -= case_.bond;
        if (case_.bond != 0) _hit(to == paid.payee ? "state:bond lost" : "state:bond returned");
        cases[index] = cases[cases.length - 1];
        cases.pop();
    }

    /// @dev A payment that was disputed, and another one of the same payee and release time to take
    /// the money from; `index` where there is none.
    function _disputedBefore(uint256 index) private view returns (uint256) {
        for (uint256 i; i < paids.length; ++i) {
            Paid storage paid = paids[i];
            bool money = pendingOf[paid.payee][paid.releaseAt] >= paid.amount;
            if (paid.disputed && money && clock < paid.releaseAt) return i;
        }
        return index;
    }

    /// @dev One of the last payments.
    function _latePaid() private returns (uint256) {
        return paids.length - 1 - _random(_least(paids.length, LATEST));
    }

    /// @dev The undisputed payment among the last whose window ends next; else `index`.
    function _endsNext(uint256 index) private view returns (uint256) {
        uint256 next;
        for (uint256 i = paids.length; i > 0 && i + LATEST > paids.length; --i) {
            Paid storage paid = paids[i - 1];
            if (paid.disputed || paid.releaseAt <= clock) continue;
            if (next == 0 || paid.releaseAt < next) (index, next) = (i - 1, paid.releaseAt);
        }
        return index;
    }

    /// @dev A payment that can be disputed and rests on a forged record; else `index`.
    function _forgedAndOpen(uint256 index) internal view virtual returns (uint256);

    /// @dev A payment of an agreement that has given back some of its charges; else `index`.
    function _correctedBefore(uint256 index) private view returns (uint256) {
        for (uint256 i = paids.length; i > 0; --i) {
            Paid storage paid = paids[i - 1];
            bool open_ = !paid.disputed && clock < paid.releaseAt;
            if (open_ && pacts[paid.pact].givenBack != 0) return i - 1;
        }
        return index;
    }

    function _outcomeOf(Paid storage paid) internal view returns (IPaymentRail.Outcome memory) {
        return IPaymentRail.Outcome({
            payment: keccak256(abi.encode(pacts[paid.pact].id, paid.sequence)),
            claim: paid.claim,
            payee: paid.payee,
            amount: int48(int256(paid.amount)),
            refusal: 0,
            releaseAt: uint32(paid.releaseAt)
        });
    }

    function _disputeCall(Paid storage paid, bool lie) private view returns (bytes memory) {
        IPaymentRail.Outcome memory outcome = _outcomeOf(paid);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(outcome))));
        bytes32[] memory proof = leavesOf[paid.root].proof(leaf);
        if (lie) outcome.amount += 1;
        return abi.encodeCall(
            IDisputes.dispute,
            (pacts[paid.pact].id, uint32(paid.sequence), outcome, paid.root, proof)
        );
    }
}
