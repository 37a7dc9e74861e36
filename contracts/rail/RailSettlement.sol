// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {Claims} from "../libraries/Claims.sol";
import {Merkle} from "../libraries/Merkle.sol";
import {Scratch} from "../libraries/Scratch.sol";
import {Traits} from "../libraries/Traits.sol";
import {RailDebts} from "./RailDebts.sol";

/// @title How a batch of claims becomes pending money, or debts, in three passes: screen, price,
/// apply.
/// @notice Holds `settle` and what it needs; nothing here moves a token.
abstract contract RailSettlement is RailDebts {
    using Claims for Claim;

    /// @notice The most claims that a batch may hold.
    uint256 public constant MAX_CLAIMS = 224;
    uint256 private constant CLOCK_GRACE = 10 minutes; // what a device's clock may be ahead
    uint8 private constant OVER_LIMIT = 1; // IProduct's
    uint8 private constant PRODUCT_REFUSALS = 100;

    /// A batch on its way through `settle`.
    struct BatchRun {
        uint8 product;
        uint8 traits;
        uint256 domains;
        uint216 signers;
        uint256 applied; // claims that were
        bytes32[] claimHashes;
        uint8[] refusals;
        IProduct.Quote[] quotes; // of the claims with no refusal, in order
    }

    /// Money of one payee and release time, gathered before it is written.
    struct PayeeNet {
        address payee;
        uint32 releaseAt;
        uint256 amount;
        uint256 total;
    }

    /// @inheritdoc IPaymentRail
    function settle(Batch calldata batch, bytes[] calldata signatures)
        external
        nonReentrant
        returns (bytes32 root)
    {
        // resolve
        BatchRun memory run;
        uint256 count = batch.claims.length;
        run.product = _products[batch.product].index;
        run.traits = _products[batch.product].traits;
        // check
        if (paused()) revert Paused();
        if (count == 0) revert BatchEmpty();
        if (count > MAX_CLAIMS) revert BatchTooLarge(count, MAX_CLAIMS);
        if (run.product == 0) revert ProductNotAllowed(batch.product);
        run.claimHashes = _hashes(batch.claims);
        (run.domains, run.signers) = committee.requireQuorum(
            batch.product, keccak256(abi.encodePacked(run.claimHashes)), signatures
        );
        _screen(batch.claims, run);
        // interaction: in the middle, with a listed product and under the lock
        IProduct.Price[] memory prices = _price(batch.product, run);
        // effect
        bytes memory outcomes;
        (root, outcomes) = _apply(batch.claims, run, prices);
        uint64 number;
        if (run.applied != 0) {
            settledAt[root] = Settlement(uint40(block.timestamp), run.signers);
            number = ++_totals.settlements;
        }
        // event
        emit Settled(number, root, batch.product, uint32(block.timestamp), outcomes);
    }

    function _hashes(Claim[] calldata claims) private pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](claims.length);
        uint256 mark = Scratch.mark();
        for (uint256 i; i < claims.length; ++i) {
            hashes[i] = claims[i].hash();
            Scratch.free(mark);
        }
    }

    /// @dev Refuses what the rail itself can see, and makes quotes of the rest.
    function _screen(Claim[] calldata claims, BatchRun memory run) private view {
        run.refusals = new uint8[](claims.length);
        IProduct.Quote[] memory quotes = new IProduct.Quote[](claims.length);
        uint256 kept;
        bytes32 previous;
        for (uint256 i; i < claims.length; ++i) {
            Claim calldata claim = claims[i];
            if (claim.agreement <= previous) {
                run.refusals[i] = uint8(Refusal.Unsorted);
                continue;
            }
            previous = claim.agreement;
            Agreement storage agreement_ = _agreements[claim.agreement];
            uint256 mark = Scratch.mark();
            (Refusal refusal, Live memory live, uint48 limit) = _judge(claim, agreement_, run);
            uint40 claimedTo = live.lastCounter;
            uint40 until = _until(live);
            Scratch.free(mark);
            if (refusal != Refusal.None) {
                run.refusals[i] = uint8(refusal);
                continue;
            }
            IProduct.Quote memory quote = quotes[kept++];
            quote.agreement = claim.agreement;
            quote.device = agreement_.device;
            quote.limit = limit;
            quote.late = claim.firstCounter <= claimedTo;
            quote.until = until;
            quote.claimedTo = claimedTo;
            quote.firstCounter = claim.firstCounter;
            quote.lastCounter = claim.lastCounter;
            quote.facts = claim.facts;
        }
        assembly ("memory-safe") {
            mstore(quotes, kept) // shorter than what was allocated
        }
        run.quotes = quotes;
    }

    function _judge(Claim calldata claim, Agreement storage agreement_, BatchRun memory run)
        private
        view
        returns (Refusal refusal, Live memory live, uint48 limit)
    {
        live = agreement_.live;
        refusal = _refusal(claim, agreement_, live, run);
        if (refusal != Refusal.None) return (refusal, live, 0);
        limit = _capLeft(live, agreement_.terms);
        if (live.escrow < limit) limit = live.escrow;
    }

    function _refusal(
        Claim calldata claim,
        Agreement storage agreement_,
        Live memory live,
        BatchRun memory run
    ) private view returns (Refusal) {
        if (live.status == Status.None) return Refusal.UnknownAgreement;
        if (live.product != run.product) return Refusal.WrongProduct;
        if (live.status != Status.Live) return Refusal.NotLive;
        if (block.timestamp > live.expiry && block.timestamp > _endsAt(agreement_)) {
            return Refusal.Expired;
        }
        if (claim.sequence != uint256(live.sequence) + 1) return Refusal.SequenceUnexpected;
        if (claim.lastCounter < claim.firstCounter) return Refusal.CountersMalformed;
        if (claim.firstCounter <= live.lastCounter && !_mayBeLate(claim, agreement_, run)) {
            return Refusal.CountersReplayed;
        }
        uint256 wanted = live.requiredDomain;
        if (wanted != 0 && (run.domains >> wanted) & 1 == 0) return Refusal.DomainMissing;
        return Refusal.None;
    }

    /// @dev No facts from after the agreement's end, and none from the future.
    function _until(Live memory live) private view returns (uint40) {
        uint256 ahead = block.timestamp + CLOCK_GRACE;
        return uint40(ahead < live.expiry ? ahead : live.expiry);
    }

    /// @dev Late counters are for the product to judge, but none from before the agreement.
    function _mayBeLate(Claim calldata claim, Agreement storage agreement_, BatchRun memory run)
        private
        view
        returns (bool)
    {
        return run.traits & Traits.LATE != 0 && claim.firstCounter > agreement_.firstCounter;
    }

    /// @dev What the period's cap leaves; moves `live` on to the current period.
    function _capLeft(Live memory live, Terms memory terms) private view returns (uint48) {
        uint256 period = uint256(terms.periodDays) * 1 days;
        if (period != 0 && block.timestamp >= live.periodStart + period) {
            uint256 passed = (block.timestamp - live.periodStart) / period;
            live.periodStart += uint32(passed * period);
            live.spent = 0;
        }
        return terms.cap - live.spent;
    }

    function _price(address product, BatchRun memory run)
        private
        returns (IProduct.Price[] memory prices)
    {
        if (run.quotes.length == 0) return prices;
        prices = IProduct(product).price(run.quotes);
        if (prices.length != run.quotes.length) revert ProductAnswerInvalid(product);
        bool names = run.traits & Traits.ANY_PAYEE != 0;
        for (uint256 i; i < prices.length; ++i) {
            if (prices[i].refusal != 0) continue;
            bool within = prices[i].amount <= int256(uint256(run.quotes[i].limit));
            if (!within || (prices[i].payee != address(0)) != names) {
                revert ProductAnswerInvalid(product);
            }
        }
    }

    function _apply(Claim[] calldata claims, BatchRun memory run, IProduct.Price[] memory prices)
        private
        returns (bytes32 root, bytes memory packed)
    {
        bytes32[] memory leaves = new bytes32[](claims.length);
        packed = new bytes(claims.length * 7 + 25); // the last word is written whole
        PayeeNet memory net;
        uint256 next;
        uint256 mark = Scratch.mark();
        for (uint256 i; i < claims.length; ++i) {
            Outcome memory outcome;
            outcome.payment = Claims.payment(claims[i].agreement, claims[i].sequence);
            outcome.claim = run.claimHashes[i];
            outcome.refusal = run.refusals[i];
            if (outcome.refusal == 0) _book(claims[i], prices[next++], outcome, net);
            if (outcome.refusal == 0) ++run.applied;
            leaves[i] = Claims.leaf(outcome);
            uint256 word =
                uint256(uint48(outcome.amount)) << 208 | uint256(outcome.refusal) << 200;
            assembly ("memory-safe") {
                mstore(add(add(packed, 32), mul(i, 7)), word)
            }
            Scratch.free(mark);
        }
        assembly ("memory-safe") {
            mstore(packed, mul(mload(leaves), 7))
        }
        _flush(net);
        _totals.escrow -= uint64(net.total);
        _totals.pending += uint64(net.total);
        root = Merkle.root(leaves);
    }

    /// @dev Moves an agreement on by one priced claim: a charge, or a debt of the payee.
    function _book(
        Claim calldata claim,
        IProduct.Price memory price,
        Outcome memory outcome,
        PayeeNet memory net
    ) private {
        Agreement storage agreement_ = _agreements[claim.agreement];
        Live memory live = agreement_.live;
        Terms memory terms = agreement_.terms;
        uint48 capLeft = _capLeft(live, terms);
        if (price.refusal != 0) {
            outcome.refusal = _refusalCode(price.refusal, capLeft, live.escrow);
            return;
        }
        outcome.payee = terms.payee == address(0) ? price.payee : terms.payee;
        live.sequence = claim.sequence;
        if (claim.lastCounter > live.lastCounter) live.lastCounter = claim.lastCounter;
        if (price.amount < 0) {
            outcome.amount = _recordDebt(claim.agreement, price.amount, outcome.payee);
        } else {
            outcome.amount = price.amount;
            outcome.releaseAt = uint32(block.timestamp) + terms.window;
            _charge(live, outcome, net);
        }
        _storeLive(agreement_.live, live);
    }

    function _charge(Live memory live, Outcome memory outcome, PayeeNet memory net) private {
        uint48 amount = uint48(outcome.amount);
        live.escrow -= amount;
        live.spent += amount;
        if (net.payee != outcome.payee || net.releaseAt != outcome.releaseAt) {
            _flush(net);
            net.payee = outcome.payee;
            net.releaseAt = outcome.releaseAt;
        }
        net.amount += amount;
        net.total += amount;
    }

    /// @dev No token moves: the payee owes the amount. What the agreement charged is given back
    /// once, whether by a refund or by a correction; the cap allows more only when the debt is paid.
    function _recordDebt(bytes32 agreement, int48 amount, address payee)
        private
        returns (int48 recorded)
    {
        Agreement storage agreement_ = _agreements[agreement];
        uint256 debt = uint256(-int256(amount));
        uint256 most = _charged(agreement_) - agreement_.givenBack;
        if (debt > most) debt = most;
        agreement_.givenBack += uint64(debt);
        _owe(payee, agreement, debt);
        return -int48(uint48(debt));
    }

    function _refusalCode(uint8 refusal, uint48 capLeft, uint48 escrow)
        private
        pure
        returns (uint8)
    {
        if (refusal != OVER_LIMIT) return PRODUCT_REFUSALS + refusal;
        return uint8(capLeft <= escrow ? Refusal.CapExceeded : Refusal.EscrowShort);
    }

    function _flush(PayeeNet memory net) private {
        if (net.amount == 0) return;
        pending[net.payee][net.releaseAt] += net.amount;
        net.amount = 0;
    }
}
