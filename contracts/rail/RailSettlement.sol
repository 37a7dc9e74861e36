// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {ClaimAt, ClaimBytes} from "../libraries/ClaimBytes.sol";
import {Claims} from "../libraries/Claims.sol";
import {Merkle} from "../libraries/Merkle.sol";
import {Quotes, Reply} from "../libraries/Quotes.sol";
import {Row, Rows} from "../libraries/Rows.sol";
import {Traits} from "../libraries/Traits.sol";
import {RailDebts} from "./RailDebts.sol";

/// @title How a batch of claims becomes pending money, or debts, in three passes: screen, price,
/// apply.
/// @notice Holds `settle` and what it needs; nothing here moves a token. A claim in its daily run
/// reads and writes one slot, its row; what it has in common with others stands once in the call, and
/// the key of the row vouches for it.
abstract contract RailSettlement is RailDebts {
    using Claims for ClaimAt;
    using Claims for Outcome;

    /// @notice The most claims that a batch may hold.
    uint256 public constant MAX_CLAIMS = 1024;
    uint256 private constant CLOCK_GRACE = 10 minutes; // what a device's clock may be ahead
    uint8 private constant OVER_LIMIT = 1; // IProduct's
    uint8 private constant PRODUCT_REFUSALS = 100;

    /// A group of a batch: its terms as a settlement needs them.
    struct GroupRun {
        bytes32 key; // of its rows
        address payee;
        uint256 cap; // as far as a row can count
        uint256 period; // number of the present one
        uint256 releaseAt;
        uint256 requiredDomain;
        uint256 shared;
        uint256 sum; // what its payee gets
    }

    /// A batch on its way through `settle`. Lists have one entry a claim, but those of groups.
    struct BatchRun {
        uint8 product;
        uint8 traits;
        uint256 domains;
        uint216 signers;
        uint256 kept; // claims with no refusal so far
        uint256 applied; // claims that were
        bytes32[] hashes; // later the leaves of the outcomes
        Row[] rows; // in the present period; of a refused claim its refusal
        GroupRun[] groups;
        bytes quotes;
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
        // check
        if (paused()) revert Paused();
        if (run.product == 0) revert ProductNotAllowed(batch.product);
        run.hashes = _hashes(batch.claims);
        (run.domains, run.signers) = committee.requireQuorum(
            batch.product, keccak256(abi.encodePacked(run.hashes)), signatures
        );
        run.groups = _groups(batch);
        _screen(batch.claims, run);
        // interaction: in the middle, with a listed product and under the lock
        Reply[] memory replies = _price(batch.product, run);
        // effect
        bytes memory outcomes = _apply(batch.claims, run, replies);
        root = Merkle.root(run.hashes);
        uint64 number;
        if (run.applied != 0) {
            settledAt[root] = Settlement(uint40(block.timestamp), run.signers);
            number = ++_totals.settlements;
        }
        // event
        emit Settled(number, root, batch.product, uint32(block.timestamp), outcomes);
    }

    function _hashes(bytes calldata claims) private pure returns (bytes32[] memory hashes) {
        uint256 count = ClaimBytes.count(claims);
        if (claims.length == 0) revert BatchEmpty();
        if (count == 0) revert BatchMalformed();
        if (count > MAX_CLAIMS) revert BatchTooLarge(count, MAX_CLAIMS);
        hashes = new bytes32[](count);
        ClaimAt claim = ClaimBytes.first(claims);
        for (uint256 i; i < count; ++i) {
            hashes[i] = claim.hash();
            claim = claim.next();
        }
    }

    /// @dev The end of the window, rounded up to a multiple of a quarter of it: settlements of that
    /// time share a release, and its slot.
    function _releaseAt(uint256 window) private view returns (uint256 end) {
        (end, window) = (block.timestamp + window, window / 4);
        if (window > 1) end = (end + window - 1) / window * window;
    }

    function _groups(Batch calldata batch) private view returns (GroupRun[] memory groups) {
        groups = new GroupRun[](batch.groups.length);
        for (uint256 i; i < groups.length; ++i) {
            Group memory group = batch.groups[i];
            groups[i] = GroupRun({
                key: Claims.group(batch.product, group),
                payee: group.payee,
                cap: group.cap < Rows.MOST_MONEY ? group.cap : Rows.MOST_MONEY,
                period: _periodNow(group.periodDays),
                releaseAt: _releaseAt(group.window),
                requiredDomain: group.requiredDomain,
                shared: group.shared,
                sum: 0
            });
        }
    }

    /// @dev Refuses what the rail itself can see, and writes quotes of the rest.
    function _screen(bytes calldata claims, BatchRun memory run) private view {
        uint256 count = run.hashes.length;
        Row[] memory rows = new Row[](count);
        bytes memory quotes = Quotes.allocate(count, claims.length);
        Quotes.Asked memory asked;
        (uint256 used, bytes32 previous) = (0, 0);
        ClaimAt claim = ClaimBytes.first(claims);
        for (uint256 i; i < count; ++i) {
            (Refusal refusal, Row row) = (Refusal.Unsorted, Row.wrap(0));
            if (claim.agreement() > previous) {
                previous = claim.agreement();
                (refusal, row) = _judge(claim, run);
            }
            if (refusal == Refusal.None) {
                _ask(asked, claim, row, run);
                used = Quotes.put(quotes, used, asked, claim.facts());
                ++run.kept;
            } else {
                row = Row.wrap(uint256(refusal));
            }
            rows[i] = row;
            claim = claim.next();
        }
        Quotes.cut(quotes, used);
        (run.rows, run.quotes) = (rows, quotes);
    }

    /// @dev The row in its present period, and whether the rail takes the claim.
    function _judge(ClaimAt claim, BatchRun memory run)
        private
        view
        returns (Refusal refusal, Row row)
    {
        (bytes32 agreement, uint256 number) = (claim.agreement(), claim.group());
        if (number >= run.groups.length) revert GroupInvalid(agreement, number);
        GroupRun memory group = run.groups[number];
        row = _rows[group.key][agreement];
        if (!row.exists()) return (_missing(agreement, number, run), row);
        row = row.inPeriod(group.period);
        refusal = _refusal(claim, row, run);
        uint256 wanted = group.requiredDomain;
        if (refusal == Refusal.None && wanted != 0 && (run.domains >> wanted) & 1 == 0) {
            refusal = Refusal.DomainMissing;
        }
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

    function _refusal(ClaimAt claim, Row row, BatchRun memory run) private view returns (Refusal) {
        (uint256 first, uint256 last) = (claim.firstCounter(), claim.lastCounter());
        if (!row.isLive()) return Refusal.NotLive;
        if (!_inTime(claim.agreement(), row)) return Refusal.Expired;
        if (claim.sequence() != row.sequence() + 1 || claim.sequence() > Rows.MOST_SEQUENCE) {
            return Refusal.SequenceUnexpected;
        }
        if (last < first || !Rows.isCounter(last)) return Refusal.CountersMalformed;
        if (first <= row.counter() && !_mayBeLate(claim.agreement(), first, run)) {
            return Refusal.CountersReplayed;
        }
        return Refusal.None;
    }

    function _inTime(bytes32 agreement, Row row) private view returns (bool) {
        if (block.timestamp < row.expiryDay() * 1 days) return true;
        return block.timestamp <= _endsAt(_agreements[agreement]);
    }

    /// @dev Late counters are for the product to judge, but none from before the agreement.
    function _mayBeLate(bytes32 agreement, uint256 first, BatchRun memory run)
        private
        view
        returns (bool)
    {
        return run.traits & Traits.LATE != 0 && first > _agreements[agreement].firstCounter;
    }

    function _ask(
        Quotes.Asked memory asked,
        ClaimAt claim,
        Row row,
        BatchRun memory run
    ) private view {
        (bytes32 agreement, uint256 number) = (claim.agreement(), claim.group());
        bool steady = run.traits & Traits.STEADY != 0 && row.steady();
        (uint256 left, uint256 escrow) = (run.groups[number].cap - row.spent(), row.escrow());
        asked.agreement = agreement;
        asked.device = steady ? bytes32(0) : _agreements[agreement].device;
        asked.group = number;
        asked.note = row.note();
        asked.limit = left < escrow ? left : escrow;
        asked.claimedTo = row.counter();
        asked.counters = claim.counters();
        asked.late = claim.firstCounter() <= asked.claimedTo;
        asked.until = _until(agreement, row);
    }

    /// @dev No facts from after the agreement's end, and none from the future.
    function _until(bytes32 agreement, Row row) private view returns (uint256 ahead) {
        ahead = block.timestamp + CLOCK_GRACE;
        if (ahead < row.expiryDay() * 1 days) return ahead;
        uint256 expiry = _agreements[agreement].expiry;
        if (expiry < ahead) ahead = expiry;
    }

    function _price(address product, BatchRun memory run)
        private
        returns (Reply[] memory replies)
    {
        if (run.kept == 0) return replies;
        uint256[] memory shared = new uint256[](run.groups.length);
        for (uint256 i; i < shared.length; ++i) shared[i] = run.groups[i].shared;
        replies = IProduct(product).price(shared, run.kept, run.quotes);
        if (replies.length != run.kept) revert ProductAnswerInvalid(product);
    }

    function _apply(bytes calldata claims, BatchRun memory run, Reply[] memory replies)
        private
        returns (bytes memory packed)
    {
        uint256 count = run.hashes.length;
        packed = new bytes(count * 7 + 25); // the last word is written whole
        uint256 next;
        Outcome memory outcome;
        ClaimAt claim = ClaimBytes.first(claims);
        for (uint256 i; i < count; ++i) {
            Row row = run.rows[i];
            outcome.payment = Claims.payment(claim.agreement(), claim.sequence());
            outcome.claim = run.hashes[i];
            (outcome.payee, outcome.amount, outcome.releaseAt) = (address(0), 0, 0);
            outcome.refusal = uint8(Row.unwrap(row));
            if (row.isLive()) _book(claim, row, replies[next++], run, outcome);
            run.hashes[i] = outcome.leaf();
            uint256 word =
                uint256(uint48(outcome.amount)) << 208 | uint256(outcome.refusal) << 200;
            assembly ("memory-safe") {
                mstore(add(add(packed, 32), mul(i, 7)), word)
            }
            claim = claim.next();
        }
        assembly ("memory-safe") {
            mstore(packed, mul(count, 7))
        }
        for (uint256 i; i < run.groups.length; ++i) {
            GroupRun memory group = run.groups[i];
            _await(group.payee, uint32(group.releaseAt), group.sum);
        }
    }

    /// @dev Moves an agreement on by one priced claim: a charge, or a debt of the payee.
    function _book(
        ClaimAt claim,
        Row row,
        Reply reply,
        BatchRun memory run,
        Outcome memory outcome
    ) private {
        GroupRun memory group = run.groups[claim.group()];
        (uint256 left, uint256 escrow) = (group.cap - row.spent(), row.escrow());
        outcome.refusal = reply.refusal();
        if (outcome.refusal != 0) {
            outcome.refusal = _refusalCode(outcome.refusal, left, escrow);
            return;
        }
        bool names = run.traits & Traits.ANY_PAYEE != 0;
        int256 amount = reply.amount();
        outcome.payee = names ? reply.payee() : group.payee;
        if (amount > int256(left) || amount > int256(escrow) || outcome.payee == address(0)) {
            revert ProductAnswerInvalid(_productList[run.product - 1]);
        }
        row = row.claimed(
            claim.sequence(), claim.lastCounter(), names ? row.note() : reply.newNote()
        );
        if (amount < 0) {
            amount = -_recordDebt(claim.agreement(), uint256(-amount), row, outcome.payee);
        } else {
            row = row.charged(uint256(amount));
            outcome.releaseAt = uint32(group.releaseAt);
            if (names) _await(outcome.payee, outcome.releaseAt, uint256(amount));
            else group.sum += uint256(amount);
        }
        outcome.amount = int48(amount);
        _rows[group.key][claim.agreement()] = row;
        ++run.applied;
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

    function _refusalCode(uint8 refusal, uint256 capLeft, uint256 escrow)
        private
        pure
        returns (uint8)
    {
        if (refusal != OVER_LIMIT) return PRODUCT_REFUSALS + refusal;
        return uint8(capLeft <= escrow ? Refusal.CapExceeded : Refusal.EscrowShort);
    }

    function _await(address payee, uint32 releaseAt, uint256 amount) private {
        if (amount == 0) return;
        pending[payee][releaseAt] += amount;
        _totals.escrow -= uint64(amount);
        _totals.pending += uint64(amount);
    }
}
