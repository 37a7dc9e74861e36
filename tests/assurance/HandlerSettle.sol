// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {Batches} from "./Batches.sol";
import {Trees} from "./Trees.sol";
import {Vm} from "./Vm.sol";

/// @title Settlements: batches of true facts, with faults among them, signed by more or less than a
/// quorum.
abstract contract HandlerSettle is Batches {
    using Trees for bytes32[];

    uint8 private constant NOT_LIVE = 3;
    uint8 private constant EXPIRED = 4;
    uint8 private constant SEQUENCE_UNEXPECTED = 5;
    uint8 private constant COUNTERS_REPLAYED = 6;
    uint8 private constant DOMAIN_MISSING = 8;
    uint8 private constant CAP_EXCEEDED = 9;
    uint8 private constant ESCROW_SHORT = 10;
    uint8 private constant DEVICE_NOT_ACTIVE = 104; // the vouchers'
    bytes32 private constant SETTLED = keccak256("Settled(uint256,bytes32,address,uint32,bytes)");

    /// What one settlement is about.
    struct Batch {
        Kind kind;
        Plan[] plans;
        IPaymentRail.Claim[] claims;
        bytes32[] hashes;
        bytes32[] leaves;
        Signers signers;
        bytes outcomes;
        uint256 moved; // claims that were applied
    }

    function settleEnergy(uint256 seed) external step(seed) {
        _settle(Kind.Meter);
    }

    function settleEnergyAgain(uint256 seed) external step(seed) {
        _settle(Kind.Meter);
    }

    function settleEnergyOnceMore(uint256 seed) external step(seed) {
        _settle(Kind.Meter);
    }

    function settleDeliveriesOnceMore(uint256 seed) external step(seed) {
        _settle(Kind.Recipient);
    }

    function settleDeliveries(uint256 seed) external step(seed) {
        _settle(Kind.Recipient);
    }

    function settleDeliveriesAgain(uint256 seed) external step(seed) {
        _settle(Kind.Recipient);
    }

    function settleVouchersAgain(uint256 seed) external step(seed) {
        _settle(Kind.Wearable);
    }

    function settleVouchers(uint256 seed) external step(seed) {
        _settle(Kind.Wearable);
    }

    function settleReports(uint256 seed) external step(seed) {
        _settleReports();
    }

    function settleReportsAgain(uint256 seed) external step(seed) {
        _settleReports();
    }

    function settleReportsOnceMore(uint256 seed) external step(seed) {
        _settleReports();
    }

    function settlePlain(uint256 seed) external step(seed) {
        _settle(Kind.Plain);
    }

    function settlePlainAgain(uint256 seed) external step(seed) {
        _settle(Kind.Plain);
    }

    /// @dev Of any of the products that charge them.
    function _settleReports() private {
        _settle(Kind(uint256(Kind.Plain) + 1 + _random(leaves.length)));
    }

    function _settle(Kind kind) internal {
        Batch memory batch;
        batch.kind = kind;
        _choose(batch);
        if (batch.plans.length == 0) return;
        if (_once(10)) _jump(_nextEnd(batch), 4 days);
        _settleBatch(batch);
    }

    /// @dev A settlement of one claim.
    function _settleAlone(uint256 pact) internal {
        Batch memory batch;
        batch.kind = pacts[pact].kind;
        _size(batch, 1);
        batch.plans[0].pact = pact;
        _settleBatch(batch);
    }

    function _settleBatch(Batch memory batch) private {
        for (uint256 i; i < batch.plans.length; ++i) {
            _plan(batch, i);
        }
        bytes32 hash = _attestation(_productOf(batch.kind), batch.hashes);
        batch.signers = _signers(0, hash, pacts[batch.plans[0].pact].domain);
        (IPaymentRail.Batch memory sent, bool sound) =
            _sent(batch.kind, _pactsOf(batch), batch.claims);
        bytes memory data = abi.encodeCall(IPaymentRail.settle, (sent, batch.signers.signatures));
        bool allowed = batch.signers.enough && !_paused() && sound;
        vm.recordLogs();
        if (!_call("PaymentRail.settle", stranger, address(rail), data, allowed)) return;
        batch.outcomes = _outcomes();
        _rule("nothing settles during a pause", !_paused());
        _rule("a quorum signed each settlement", batch.signers.count >= _quorum());
        for (uint256 i; i < batch.plans.length; ++i) {
            _book(batch, i);
        }
        _closeBatch(batch);
    }

    /// @dev Up to three agreements of one product, in the order of their ids.
    function _choose(Batch memory batch) private {
        uint256 most = 1 + _random(3);
        uint256 from = _random(pacts.length);
        uint256[] memory found = new uint256[](most);
        uint256 count;
        for (uint256 i; i < pacts.length && count < most; ++i) {
            uint256 index = (from + i) % pacts.length;
            if (pacts[index].kind != batch.kind || (pacts[index].ended && !_once(8))) continue;
            if (!pacts[index].ended && clock > _endOf(pacts[index]) && !_once(4)) continue;
            uint256 place = count++;
            for (; place > 0 && pacts[found[place - 1]].id > pacts[index].id; --place) {
                found[place] = found[place - 1];
            }
            found[place] = index;
        }
        _size(batch, count);
        for (uint256 i; i < count; ++i) {
            batch.plans[i].pact = found[i];
        }
    }

    function _size(Batch memory batch, uint256 count) private pure {
        batch.plans = new Plan[](count);
        batch.claims = new IPaymentRail.Claim[](count);
        (batch.hashes, batch.leaves) = (new bytes32[](count), new bytes32[](count));
    }

    function _pactsOf(Batch memory batch) private pure returns (uint256[] memory list) {
        list = new uint256[](batch.plans.length);
        for (uint256 i; i < list.length; ++i) {
            list[i] = batch.plans[i].pact;
        }
    }

    /// @dev The next of the ends of the batch's agreements; 0: all are over.
    function _nextEnd(Batch memory batch) private view returns (uint256 next) {
        for (uint256 i; i < batch.plans.length; ++i) {
            uint256 end = _endOf(pacts[batch.plans[i].pact]);
            if (end >= clock && (next == 0 || end < next)) next = end;
        }
    }

    /// @dev Plans a claim, now and then with a fault that the rail itself must see.
    function _plan(Batch memory batch, uint256 i) private {
        Plan memory plan = batch.plans[i];
        Pact storage pact = pacts[plan.pact];
        plan.sequence = pact.sequence + 1;
        plan.firstCounter = pact.lastCounter + 1;
        plan.lastCounter = plan.firstCounter + _random(5);
        plan.payee = pact.payee;
        uint256 until = clock < pact.expiry ? clock : pact.expiry;
        if (batch.kind == Kind.Meter) _planEnergy(plan, until);
        else if (batch.kind == Kind.Recipient) _planDelivery(plan, until);
        else if (batch.kind == Kind.Wearable) _planVoucher(plan);
        else if (batch.kind == Kind.Fleet) _planFleet(plan, _latest(pact));
        else if (_reports(batch.kind)) _planReport(plan, _latest(pact));
        else _planPlain(plan);
        if (plan.refusal == 0 && batch.kind == Kind.Recipient) {
            plan.amount = _priceDelivery(plan, until);
        }
        if (batch.kind == Kind.Meter) {
            bool active = _isActive(devices[pact.device], _endOfFacts(plan.facts));
            if (!active) plan.refusal = 110;
        }
        if (_once(20)) plan.sequence += _once(2) ? 1 : type(uint32).max; // the last one's again
        if (batch.kind == Kind.Recipient && _once(20)) {
            plan.firstCounter = _once(2) ? pact.firstCounter : pact.lastCounter;
        }
        plan.sequence = uint32(plan.sequence);
        batch.claims[i] = IPaymentRail.Claim(
            pact.id,
            uint32(plan.sequence),
            uint40(plan.firstCounter),
            uint40(plan.lastCounter),
            _evidence(plan, until),
            plan.facts
        );
        batch.hashes[i] = _claimHash(batch.claims[i]);
    }

    /// @dev Compares one outcome with the plan, and writes it into the model.
    function _book(Batch memory batch, uint256 i) private {
        Plan memory plan = batch.plans[i];
        Pact storage pact = pacts[plan.pact];
        (int256 amount, uint8 refusal) = _outcome(batch.outcomes, i);
        _rule("claims are refused for their own fault alone", _mayBe(refusal, batch, plan));
        _rule("an ended agreement takes no claims", !pact.ended || refusal == NOT_LIVE);
        IPaymentRail.Outcome memory outcome;
        outcome.payment = keccak256(abi.encode(pact.id, plan.sequence));
        (outcome.claim, outcome.refusal) = (batch.hashes[i], refusal);
        if (refusal == 0) {
            ++batch.moved;
            _rule("a payment is settled or skipped once", !applied[outcome.payment]);
            applied[outcome.payment] = true;
            pact.sequence = plan.sequence;
            if (plan.lastCounter > pact.lastCounter) pact.lastCounter = plan.lastCounter;
            bool debt = _move(batch, plan, amount);
            (outcome.payee, outcome.amount) = (plan.payee, int48(amount));
            outcome.releaseAt = debt ? 0 : uint32(_releaseOf(pact));
            if (amount > 0) _keepPaid(batch, i, uint256(amount), outcome.releaseAt);
        } else {
            _hit(string.concat("state:refused with ", vm.toString(uint256(refusal))));
        }
        batch.leaves[i] = keccak256(bytes.concat(keccak256(abi.encode(outcome))));
    }

    /// @dev The latest that facts of an agreement may speak of.
    function _latest(Pact storage pact) private view returns (uint256) {
        return _least(clock + CLOCK_GRACE, pact.expiry);
    }

    /// @dev When a payment of now is due: the end of the quarter in which its window ends.
    function _releaseOf(Pact storage pact) private view returns (uint256 time) {
        uint256 quarter = pact.window / 4;
        time = clock + pact.window;
        if (quarter != 0 && time % quarter != 0) time += quarter - time % quarter;
    }

    function _keepPaid(Batch memory batch, uint256 i, uint256 amount, uint256 releaseAt) private {
        Plan memory plan = batch.plans[i];
        Paid storage paid = paids.push();
        (paid.pact, paid.sequence, paid.payee) = (plan.pact, plan.sequence, plan.payee);
        (paid.amount, paid.releaseAt, paid.claim) = (amount, releaseAt, batch.hashes[i]);
        paid.signers = batch.signers.bitmap;
        uint256[] storage times = timesOf[plan.payee];
        bool listed;
        for (uint256 j; j < times.length; ++j) {
            listed = listed || times[j] == releaseAt;
        }
        if (!listed) times.push(releaseAt);
        pendingOf[plan.payee][releaseAt] += amount;
        _keptPaid(paids.length - 1, batch.claims[i]);
    }

    /// @dev What a claim rests on, made at a time.
    function _evidence(Plan memory plan, uint256 time) internal virtual returns (bytes32);

    /// @dev A payment was kept.
    function _keptPaid(uint256 paid, IPaymentRail.Claim memory claim) internal virtual;

    /// @dev Moves the agreement's sums by an applied claim, and checks what bounds them.
    function _move(Batch memory batch, Plan memory plan, int256 amount)
        private
        returns (bool correction)
    {
        Pact storage pact = pacts[plan.pact];
        int256 meant = amount;
        if (batch.kind == Kind.Meter) meant = _applyEnergy(plan);
        else if (batch.kind == Kind.Recipient) meant = _applyDelivery(plan);
        else if (batch.kind == Kind.Wearable) _applyVoucher(plan, uint256(amount));
        else if (batch.kind == Kind.Fleet) meant = _applyFleet(plan);
        else if (_reports(batch.kind)) meant = _applyReport(plan);
        else meant = plan.amount;
        if (batch.kind == Kind.Meter && !pact.steady) _hit("state:unsteady meter charged");
        uint256 period = _periodNow(pact);
        if (period != pact.period) {
            if (pact.grossIn != 0) _hit("state:period rolled over");
            (pact.period, pact.grossIn, pact.paidBackIn) = (period, 0, 0);
        }
        if (meant >= 0) {
            _rule("amounts are what the products' rules say", amount == meant);
            _rule("a charge fits the escrow", amount >= 0 && uint256(amount) <= pact.escrow);
            pact.escrow -= _least(uint256(amount), pact.escrow);
            pact.charged += uint256(amount);
            pact.grossIn += uint256(amount);
            bool capped = pact.grossIn <= pact.cap + pact.paidBackIn;
            _rule("gross charges of a period stay within the cap", capped);
            return false;
        }
        uint256 most = pact.charged - pact.givenBack;
        uint256 debt = _least(uint256(-meant), most);
        if (uint256(-meant) > most) _hit("state:correction beyond what was charged");
        bool hears = batch.kind != Kind.Plain; // of refunds, as each product that ships
        _rule(
            "no product that ships gives back more than was charged",
            !hears || uint256(-meant) <= most
        );
        _rule("a correction is a debt of the payee", -amount == int256(debt));
        pact.givenBack += debt;
        _addDebt(plan.payee, plan.pact, debt);
        return true;
    }

    function _closeBatch(Batch memory batch) private {
        bytes32 root = batch.leaves.root();
        (uint40 time, uint216 signers) = rail.settledAt(root);
        if (batch.moved == 0) {
            _hit("state:batch of refused claims");
            _rule("refused claims change nothing", time != clock);
            return;
        }
        ++settled;
        _rule(
            "a settlement keeps its time and its signers",
            time == clock && signers == batch.signers.bitmap
        );
        leavesOf[root] = batch.leaves;
        for (uint256 i = paids.length; i > 0 && paids[i - 1].root == 0; --i) {
            paids[i - 1].root = root;
        }
    }

    /// @dev Why the rail itself refuses a claim; 0: it does not.
    function _screen(Batch memory batch, Plan memory plan) private view returns (uint8) {
        Pact storage pact = pacts[plan.pact];
        if (pact.ended) return NOT_LIVE;
        if (clock > _endOf(pact)) return EXPIRED;
        if (plan.sequence != pact.sequence + 1) return SEQUENCE_UNEXPECTED;
        bool late = plan.firstCounter <= pact.lastCounter;
        bool mayBeLate = (batch.kind == Kind.Meter || batch.kind == Kind.Wearable)
            && plan.firstCounter > pact.firstCounter;
        if (late && !mayBeLate) return COUNTERS_REPLAYED;
        bool signed = (batch.signers.domains >> pact.domain) & 1 == 1;
        return pact.domain != 0 && !signed ? DOMAIN_MISSING : 0;
    }

    /// @dev Whether the model allows this refusal, or that there is none.
    function _mayBe(uint8 refusal, Batch memory batch, Plan memory plan)
        private
        view
        returns (bool)
    {
        Pact storage pact = pacts[plan.pact];
        uint8 screened = _screen(batch, plan);
        if (screened != 0) return refusal == screened;
        uint256 left = _capLeft(pact);
        uint8 over = left <= pact.escrow ? CAP_EXCEEDED : ESCROW_SHORT;
        if (batch.kind == Kind.Wearable && !_isBelieved(plan)) return refusal == DEVICE_NOT_ACTIVE;
        if (plan.refusal == UNKNOWN) return refusal == 0 || refusal == over;
        if (plan.refusal != 0) return refusal == plan.refusal;
        return refusal == (plan.amount > int256(_least(left, pact.escrow)) ? over : 0);
    }

    function _outcomes() private returns (bytes memory outcomes) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] == SETTLED) {
                (, outcomes) = abi.decode(logs[i].data, (uint32, bytes));
            }
        }
    }

    /// @dev Seven bytes a claim: the amount, two's complement, and the refusal.
    function _outcome(bytes memory outcomes, uint256 i) private pure returns (int256, uint8) {
        uint48 amount;
        for (uint256 j; j < 6; ++j) {
            amount = amount << 8 | uint8(outcomes[7 * i + j]);
        }
        return (int48(amount), uint8(outcomes[7 * i + 6]));
    }

    function _endOfFacts(bytes memory facts) private pure returns (uint256 time) {
        for (uint256 i = 6; i < 10; ++i) {
            time = time << 8 | uint8(facts[i]);
        }
    }
}
