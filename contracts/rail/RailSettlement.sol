// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {ClaimAt, ClaimBytes, ClaimHead} from "../libraries/ClaimBytes.sol";
import {Claims} from "../libraries/Claims.sol";
import {Lists} from "../libraries/Lists.sol";
import {Merkle} from "../libraries/Merkle.sol";
import {Quotes, Reply} from "../libraries/Quotes.sol";
import {Row, Rows} from "../libraries/Rows.sol";
import {Traits} from "../libraries/Traits.sol";
import {RailGroups} from "./RailGroups.sol";

/// @title How a batch of claims becomes pending money, or debts, in three passes: screen, price,
/// apply.
/// @notice Holds `settle` and what it needs; nothing here moves a token. A claim in its daily run
/// reads and writes one slot, its row; what it has in common with others stands once in the call, and
/// the key of the row vouches for it.
abstract contract RailSettlement is RailGroups {
    using Claims for Outcome;
    using Lists for bytes32[];
    using Quotes for Quotes.Call;
    using Quotes for Reply[];

    /// @notice The most claims that a batch may hold.
    uint256 public constant MAX_CLAIMS = 1024;
    uint256 private constant CLOCK_GRACE = 10 minutes; // what a device's clock may be ahead
    uint8 private constant OVER_LIMIT = 1; // IProduct's
    uint8 private constant PRODUCT_REFUSALS = 100;

    /// A batch on its way through `settle`. Lists have one entry a claim, but those of groups.
    struct BatchRun {
        uint8 product;
        uint8 traits;
        uint256 domains;
        uint216 signers;
        uint256 ahead; // what a device's clock may show
        uint256 lastDay; // the day of `ahead`: later expiries are not near
        uint256 charged;
        bool applied; // a claim was
        bool names; // the product names payees
        bytes32[] hashes; // later the leaves of the outcomes
        bytes32[] rows; // in the present period; of a refused claim its refusal
        bytes32[] shared; // of each group, for the product
        GroupRun[] groups;
        Quotes.Call call;
        Outcome other; // of a claim that is no charge of its group's payee
    }

    /// @inheritdoc IPaymentRail
    function settle(Batch calldata batch, bytes[] calldata signatures)
        external
        nonReentrant
        returns (bytes32 root)
    {
        // resolve
        BatchRun memory run;
        run.product = _products[batch.product].index;
        run.traits = _products[batch.product].traits;
        run.names = run.traits & Traits.ANY_PAYEE != 0;
        // check
        if (paused()) revert Paused();
        if (run.product == 0) revert ProductNotAllowed(batch.product);
        run.hashes = _hashes(batch.claims);
        (run.domains, run.signers) =
            committee.requireQuorum(batch.product, run.hashes.hash(), signatures);
        (run.groups, run.shared) = _groups(batch, run.domains);
        _screen(batch.claims, run);
        // interaction: in the middle, with a listed product and under the lock
        Reply[] memory replies = _price(batch.product, run);
        // effect
        bytes memory outcomes = _apply(batch.claims, run, replies);
        root = Merkle.root(run.hashes);
        uint64 number = _count(root, run);
        // event
        emit Settled(number, root, batch.product, uint32(block.timestamp), outcomes);
    }

    function _hashes(bytes calldata claims) private pure returns (bytes32[] memory hashes) {
        if (claims.length == 0) revert BatchEmpty();
        bool whole;
        (hashes, whole) = Claims.hashes(claims);
        if (!whole) revert BatchMalformed();
        if (hashes.length > MAX_CLAIMS) revert BatchTooLarge(hashes.length, MAX_CLAIMS);
    }

    /// @dev Refuses what the rail itself can see, and writes quotes of the rest.
    function _screen(bytes calldata claims, BatchRun memory run) private view {
        uint256 count = run.hashes.length;
        bytes32[] memory rows = new bytes32[](count);
        run.rows = rows;
        run.ahead = block.timestamp + CLOCK_GRACE;
        run.lastDay = run.ahead / 1 days;
        run.call = Quotes.begin(
            IProduct.price.selector, run.shared, Quotes.mostBytes(count, claims.length)
        );
        bytes32 previous;
        ClaimAt claim = ClaimBytes.first(claims);
        for (uint256 i; i < count; ++i) {
            ClaimHead head = claim.head();
            bytes32 agreement = claim.agreement();
            Row row = Row.wrap(uint256(Refusal.Unsorted));
            if (agreement > previous) {
                previous = agreement;
                row = _screened(claim, head, agreement, run);
            }
            rows.put(i, bytes32(Row.unwrap(row)));
            claim = claim.next(head);
        }
    }

    /// @dev Asks about a claim that the rail takes; its row in its present period, or its refusal.
    function _screened(
        ClaimAt claim,
        ClaimHead head,
        bytes32 agreement,
        BatchRun memory run
    ) private view returns (Row row) {
        uint256 number = head.group();
        if (number >= run.groups.length) revert GroupInvalid(agreement, number);
        GroupRun memory group = run.groups[number];
        row = _rowsAt(group.rows)[agreement];
        if (!row.exists()) return Row.wrap(uint256(_missing(agreement, number, run)));
        row = row.inPeriod(group.period);
        (uint256 until, bool late) = (run.ahead, false);
        (uint256 first, uint256 last) = (head.firstCounter(), head.lastCounter());
        if (!row.isReady(head.sequence(), first, last, run.lastDay)) {
            Refusal refusal = _refusal(agreement, head, row, run);
            if (refusal != Refusal.None) return Row.wrap(uint256(refusal));
            (until, late) = (_until(agreement, row, run), first <= row.counter());
        }
        if (group.missing) return Row.wrap(uint256(Refusal.DomainMissing));
        (uint256 limit, uint256 note) = (_limit(group.cap, row), row.note());
        run.call.ask(
            agreement,
            Quotes.standing(note, limit, row.counter(), head.counters(), late),
            number,
            until,
            row.steady() ? bytes32(0) : _agreements[agreement].device,
            claim.facts(head)
        );
    }

    /// @dev The most that may be charged: what cap and escrow leave.
    function _limit(uint256 cap, Row row) private pure returns (uint256) {
        (uint256 left, uint256 escrow) = (cap - row.spent(), row.escrow());
        return left < escrow ? left : escrow;
    }

    /// @dev The quorum named an agreement of another product, or none. Whoever only sent the claim
    /// under a wrong group must not get it refused.
    function _missing(bytes32 agreement, uint256 number, BatchRun memory run)
        private
        view
        returns (Refusal)
    {
        Agreement storage agreement_ = _agreements[agreement];
        if (agreement_.group == 0) return Refusal.UnknownAgreement;
        if (agreement_.product != run.product) return Refusal.WrongProduct;
        revert GroupInvalid(agreement, number);
    }

    function _refusal(bytes32 agreement, ClaimHead head, Row row, BatchRun memory run)
        private
        view
        returns (Refusal)
    {
        (uint256 first, uint256 last) = (head.firstCounter(), head.lastCounter());
        if (!row.isLive()) return Refusal.NotLive;
        if (row.expiryDay() <= run.lastDay && block.timestamp > _endsAt(_agreements[agreement])) {
            return Refusal.Expired;
        }
        if (!row.precedes(head.sequence())) return Refusal.SequenceUnexpected;
        if (last < first || !Rows.isCounter(last)) return Refusal.CountersMalformed;
        if (first <= row.counter() && !_mayBeLate(agreement, first, run)) {
            return Refusal.CountersReplayed;
        }
        return Refusal.None;
    }

    /// @dev Late counters are for the product to judge, but none from before the agreement.
    function _mayBeLate(bytes32 agreement, uint256 first, BatchRun memory run)
        private
        view
        returns (bool)
    {
        return run.traits & Traits.LATE != 0 && first > _agreements[agreement].firstCounter;
    }

    /// @dev No facts from after the agreement's end, and none from the future.
    function _until(bytes32 agreement, Row row, BatchRun memory run)
        private
        view
        returns (uint256)
    {
        if (row.expiryDay() > run.lastDay) return run.ahead;
        uint256 expiry = _agreements[agreement].expiry;
        return expiry < run.ahead ? expiry : run.ahead;
    }

    function _price(address product, BatchRun memory run)
        private
        returns (Reply[] memory replies)
    {
        if (run.call.count == 0) return replies;
        replies = run.call.send(product);
        if (replies.length == 0) revert ProductAnswerInvalid(product);
    }

    function _apply(bytes calldata claims, BatchRun memory run, Reply[] memory replies)
        private
        returns (bytes memory packed)
    {
        bytes32[] memory hashes = run.hashes;
        uint256 count = hashes.length;
        packed = new bytes(count * 7 + 25); // the last word is written whole
        uint256 next;
        ClaimAt claim = ClaimBytes.first(claims);
        for (uint256 i; i < count; ++i) {
            Row row = Row.wrap(uint256(run.rows.at(i)));
            ClaimHead head = claim.head();
            bytes32 agreement = claim.agreement();
            bytes32 hash = hashes.at(i);
            Reply reply;
            if (row.isLive()) {
                reply = replies.get(next);
                unchecked { // no more than claims
                    ++next;
                }
                (hash, reply) = _book(agreement, head, hash, row, reply, run);
            } else {
                (hash, reply) = _refused(agreement, head, hash, uint8(Row.unwrap(row)), run);
            }
            hashes.put(i, hash);
            assembly ("memory-safe") {
                mstore(add(add(packed, 32), mul(i, 7)), reply) // amount and refusal come first
            }
            claim = claim.next(head);
        }
        assembly ("memory-safe") {
            mstore(packed, mul(count, 7))
        }
        _awaitAll(run);
    }

    /// @dev Callers name groups in order of payees, so those of a payee share a write.
    function _awaitAll(BatchRun memory run) private {
        GroupRun[] memory groups = run.groups;
        uint256 due;
        for (uint256 i; i < groups.length; ++i) {
            Outcome memory paid = groups[i].paid;
            due += groups[i].sum;
            if (i + 1 < groups.length && _together(paid, groups[i + 1].paid)) continue;
            _await(paid.payee, paid.releaseAt, due, run);
            due = 0;
        }
    }

    /// @dev Moves an agreement on by one priced claim: a charge, or a debt of the payee. The leaf of
    /// its outcome, and a reply with its amount and refusal.
    function _book(
        bytes32 agreement,
        ClaimHead head,
        bytes32 hash,
        Row row,
        Reply reply,
        BatchRun memory run
    ) private returns (bytes32 leaf, Reply) {
        GroupRun memory group = run.groups[head.group()];
        if (reply.refusal() != 0) {
            return _refused(agreement, head, hash, _refusalCode(reply, group, row), run);
        }
        if (run.names || reply.amount() < 0) {
            (row, reply) = _bookOther(agreement, head, row, reply, run);
            leaf = _leaf(run.other, agreement, head, hash);
        } else {
            uint256 amount = uint256(reply.amount());
            row = row.claimed(head.sequence(), head.lastCounter(), reply.newNote());
            row = row.charged(amount, group.cap);
            if (!row.exists()) _denounce(run);
            group.sum += amount;
            group.paid.amount = int48(int256(amount));
            leaf = _leaf(group.paid, agreement, head, hash);
        }
        _rowsAt(group.rows)[agreement] = row;
        run.applied = true;
        return (leaf, reply);
    }

    /// @dev A debt, or a charge whose payee the product names.
    function _bookOther(
        bytes32 agreement,
        ClaimHead head,
        Row row,
        Reply reply,
        BatchRun memory run
    ) private returns (Row, Reply) {
        GroupRun memory group = run.groups[head.group()];
        Outcome memory outcome = run.other;
        int256 amount = reply.amount();
        outcome.payee = run.names ? reply.payee() : group.paid.payee;
        uint80 note = run.names ? row.note() : reply.newNote();
        row = row.claimed(head.sequence(), head.lastCounter(), note);
        if (outcome.payee == address(0)) _denounce(run);
        if (amount < 0) {
            amount = -_recordDebt(agreement, uint256(-amount), row, outcome.payee);
            outcome.releaseAt = 0;
        } else {
            row = row.charged(uint256(amount), group.cap);
            if (!row.exists()) _denounce(run);
            outcome.releaseAt = group.paid.releaseAt;
            _await(outcome.payee, outcome.releaseAt, uint256(amount), run);
        }
        (outcome.amount, outcome.refusal) = (int48(amount), 0);
        return (row, Quotes.priced(amount, 0));
    }

    function _refused(
        bytes32 agreement,
        ClaimHead head,
        bytes32 hash,
        uint8 refusal,
        BatchRun memory run
    ) private pure returns (bytes32, Reply) {
        Outcome memory outcome = run.other;
        (outcome.payee, outcome.amount, outcome.releaseAt) = (address(0), 0, 0);
        outcome.refusal = refusal;
        return (_leaf(outcome, agreement, head, hash), Quotes.refused(refusal));
    }

    function _leaf(Outcome memory outcome, bytes32 agreement, ClaimHead head, bytes32 hash)
        private
        pure
        returns (bytes32)
    {
        outcome.payment = Claims.payment(agreement, head.sequence());
        outcome.claim = hash;
        return outcome.leaf();
    }

    /// @dev The product's answer is none that it may give.
    function _denounce(BatchRun memory run) private view {
        revert ProductAnswerInvalid(_productList[run.product - 1]);
    }

    /// @dev No token moves: the payee owes the amount. What the agreement charged is given back
    /// once, whether by a refund or by a correction; the cap allows more only when the debt is paid.
    function _recordDebt(bytes32 agreement, uint256 debt, Row row, address payee)
        private
        returns (int256)
    {
        Agreement storage agreement_ = _agreements[agreement];
        uint256 most = agreement_.cameIn - row.escrow() - agreement_.givenBack;
        if (debt > most) debt = most;
        agreement_.givenBack += uint64(debt);
        _owe(payee, agreement, debt);
        return int256(debt);
    }

    function _refusalCode(Reply reply, GroupRun memory group, Row row)
        private
        pure
        returns (uint8)
    {
        if (reply.refusal() != OVER_LIMIT) return PRODUCT_REFUSALS + reply.refusal();
        bool capped = group.cap - row.spent() <= row.escrow();
        return uint8(capped ? Refusal.CapExceeded : Refusal.EscrowShort);
    }

    function _await(address payee, uint32 releaseAt, uint256 amount, BatchRun memory run) private {
        if (amount == 0) return;
        pending[payee][releaseAt] += amount;
        run.charged += amount;
    }

    /// @dev Counts a settlement, and moves its charges from the escrows to what is pending. 0: none
    /// of its claims was applied, so there is nothing to keep.
    function _count(bytes32 root, BatchRun memory run) private returns (uint64) {
        if (!run.applied) return 0;
        settledAt[root] = Settlement(uint40(block.timestamp), run.signers);
        Totals memory sums = _totals;
        sums.escrow -= uint64(run.charged);
        sums.pending += uint64(run.charged);
        ++sums.settlements;
        _totals = sums;
        return sums.settlements;
    }
}
