// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {Quote, Quotes, Reply} from "../libraries/Quotes.sol";
import {Traits} from "../libraries/Traits.sol";
import {IWearableVoucher} from "./voucher/IWearableVoucher.sol";
import {Spending} from "./voucher/Spending.sol";
import {Vouchers} from "./voucher/Vouchers.sol";

/// @title The product of wearables: what of a voucher is paid now, and double spending.
/// @notice IWearableVoucher documents it.
contract WearableVoucher is IWearableVoucher, AccessManaged {
    using Spending for Spending.State;
    using Vouchers for Vouchers.Voucher;

    struct Account {
        uint48 paid;
        uint32 taps;
    }

    /// One voucher on its way through `price`.
    struct VoucherRun {
        Spending.State state;
        Account account;
        Account lost; // paid since the wearable was lost
        uint256 owed; // what it is worth beyond what was paid
        uint256 taps; // beyond those that were paid
        uint256 amount; // what can be paid of it now
        Cut cut; // why it is not paid in full
        bool active; // when it was signed
        bool isLost; // by now
    }

    /// @notice The rail that may call.
    address public immutable rail;
    /// @notice Which devices were active when, and with which keys.
    IDeviceRegistry public immutable registry;
    /// @notice The terms of each agreement.
    mapping(bytes32 agreement => Vouchers.Terms) public termsOf;
    /// @notice What was paid of each wearable's vouchers.
    mapping(bytes32 wearable => Spending.State) public stateOf;
    /// @inheritdoc IWearableVoucher
    mapping(bytes32 wearable => mapping(address payee => Account)) public accountOf;
    /// @inheritdoc IWearableVoucher
    mapping(bytes32 wearable => Account) public lostOf;
    /// @inheritdoc IWearableVoucher
    mapping(bytes32 wearable => uint40) public frozenFrom;
    /// @notice The contract that cards in the field may sign for, as well as for this one.
    address public predecessor;
    /// @notice The contract that may take wearables over.
    address public successor;

    modifier onlyRail() {
        if (msg.sender != rail) revert NotTheRail(msg.sender);
        _;
    }

    constructor(address rail_, address registry_)
        AccessManaged(IAccessManaged(registry_).authority())
    {
        rail = rail_;
        registry = IDeviceRegistry(registry_);
    }

    /// @inheritdoc IProduct
    function name() external pure returns (string memory) {
        return "wearable_voucher";
    }

    /// @inheritdoc IProduct
    function version() external pure returns (uint8) {
        return 2;
    }

    /// @inheritdoc IProduct
    function traits() external pure returns (uint8) {
        return Traits.LATE | Traits.ANY_PAYEE;
    }

    /// @inheritdoc IProduct
    function refusalName(uint8 refusal) external pure returns (string memory) {
        string[7] memory names = [
            "Priced",
            "OverLimit",
            "FactsMalformed",
            "SignatureInvalid",
            "DeviceNotActive",
            "ClassNotAgreed",
            "TapTooLarge"
        ];
        return refusal < names.length ? names[refusal] : "";
    }

    /// @inheritdoc IWearableVoucher
    function digestOf(address domain, Vouchers.Voucher memory voucher)
        external
        view
        returns (bytes32)
    {
        return voucher.digest(domain);
    }

    /// @inheritdoc IWearableVoucher
    function setPredecessor(address predecessor_) external restricted {
        // check
        if (!_linkable(predecessor, predecessor_)) revert LinkInvalid(predecessor_);
        // effect
        predecessor = predecessor_;
        // event
        emit PredecessorSet(predecessor_);
    }

    /// @inheritdoc IWearableVoucher
    function setSuccessor(address successor_) external restricted {
        // check
        if (!_linkable(successor, successor_)) revert LinkInvalid(successor_);
        // effect
        successor = successor_;
        // event
        emit SuccessorSet(successor_);
    }

    /// @inheritdoc IWearableVoucher
    function passOn(bytes32 wearable) external returns (Spending.State memory) {
        // check
        if (msg.sender != successor) revert NotSuccessor(msg.sender);
        if (stateOf[wearable].passedOn) revert PassedOnAlready(wearable);
        // effect
        stateOf[wearable].passedOn = true;
        // event
        emit WearablePassedOn(wearable);
        return stateOf[wearable];
    }

    /// @inheritdoc IProduct
    /// @dev What was signed in time can settle for the longest time that a voucher is paid.
    function open(bytes32 agreement, bytes32 wearable, uint40 start, bytes calldata terms)
        external
        onlyRail
        returns (uint32, uint256, uint80)
    {
        // resolve
        (bool sound, Vouchers.Terms memory agreed) = Vouchers.readTerms(terms, start);
        // check
        if (!sound || !_isDomain(agreed.domain)) revert TermsMalformed(terms);
        if (stateOf[wearable].passedOn) revert PassedOnAlready(wearable);
        // effect
        termsOf[agreement] = agreed;
        _carryOver(wearable, start, terms);
        return (agreed.maxAge, 0, 0);
    }

    /// @inheritdoc IProduct
    /// @dev Nothing changes: a refunded tap was paid and is not owed again.
    function refunded(bytes32, uint48) external view onlyRail {}

    /// @inheritdoc IProduct
    /// @dev Nothing changes: each voucher stands for all before it, and is paid by its difference.
    function skipped(bytes32, uint80) external view onlyRail returns (uint80) {}

    /// @inheritdoc IProduct
    function price(uint256[] calldata, uint256 count, bytes calldata quotes)
        external
        onlyRail
        returns (Reply[] memory replies)
    {
        replies = new Reply[](count);
        Quote quote = Quotes.first(quotes);
        for (uint256 i; i < count; ++i) {
            replies[i] = _price(quote);
            quote = quote.next();
        }
    }

    /// @inheritdoc IWearableVoucher
    function reportDoubleSpend(
        address domain,
        Vouchers.Voucher calldata a,
        bytes calldata signatureA,
        Vouchers.Voucher calldata b,
        bytes calldata signatureB
    ) external {
        // resolve
        (bytes32 digestA, bytes32 digestB) = (_digest(a, domain), _digest(b, domain));
        uint40 earlier = frozenFrom[a.wearable];
        // check
        bool doubled = a.wearable == b.wearable && a.counter == b.counter && digestA != digestB;
        if (!doubled || a.counter == 0 || !_isDomain(domain)) revert NotDoubleSpend();
        _requireSigned(a, digestA, signatureA);
        _requireSigned(b, digestB, signatureB);
        // effect
        if (earlier == 0 || a.counter < earlier) frozenFrom[a.wearable] = a.counter;
        // event
        emit DoubleSpendProven(a.wearable, a.counter, digestA, digestB);
    }

    function _price(Quote quote) private returns (Reply) {
        // resolve
        (bool sound, Vouchers.Voucher memory voucher) =
            Vouchers.readFacts(quote.device(), quote.facts());
        // what the rail owes itself nobody could withdraw
        if (!sound || voucher.payee == rail) return Quotes.refused(uint8(Answer.FactsMalformed));
        Vouchers.Terms memory terms = termsOf[quote.agreement()];
        // check
        if (!Vouchers.classAgreed(terms.classes, voucher.merchantClass)) {
            return Quotes.refused(uint8(Answer.ClassNotAgreed));
        }
        if (voucher.total > uint256(terms.perTap) * voucher.taps) {
            return Quotes.refused(uint8(Answer.TapTooLarge));
        }
        VoucherRun memory run;
        Answer answer = _signed(run, terms.domain, voucher, quote.facts());
        if (answer != Answer.Priced) return Quotes.refused(uint8(answer));
        _payable(run, terms, voucher, quote.until());
        if (run.amount > quote.limit()) return Quotes.refused(uint8(Answer.OverLimit));
        // effect
        if (run.amount != 0) _book(run, terms, voucher);
        // event
        if (run.cut != Cut.None) {
            uint48 unpaid = uint48(run.owed - run.amount);
            emit VoucherCut(quote.agreement(), voucher.payee, voucher.counter, unpaid, run.cut);
        }
        return Quotes.pricedFor(int256(run.amount), voucher.payee);
    }

    /// @dev Whether the wearable signed, whether it might at that time, and whether it is lost by now.
    /// A device that was silenced after the quorum looked is no fault of the agreement: it is paid
    /// nothing, and not refused. One that was never enrolled, or is compromised, is refused.
    function _signed(
        VoucherRun memory run,
        address domain,
        Vouchers.Voucher memory voucher,
        bytes calldata facts
    ) private view returns (Answer) {
        bytes32 device = voucher.wearable;
        (IDeviceRegistry.Status status, IDeviceRegistry.Curve curve, bytes32 x, bytes32 y) =
            registry.keyAt(device, voucher.signedAt);
        run.active = status == IDeviceRegistry.Status.Active;
        run.isLost =
            frozenFrom[device] != 0 || !registry.activeAt(device, uint40(block.timestamp));
        bool believed = status != IDeviceRegistry.Status.None
            && (!run.isLost || registry.compromisedSince(device) == 0);
        if (!believed) return Answer.DeviceNotActive;
        (bytes32 r, bytes32 s) = abi.decode(facts[256:], (bytes32, bytes32));
        bool genuine = registry.verify(curve, x, y, voucher.digest(domain), r, s);
        return genuine ? Answer.Priced : Answer.SignatureInvalid;
    }

    /// @dev How much of what the voucher is owed can be paid now, and what cuts it.
    function _payable(
        VoucherRun memory run,
        Vouchers.Terms memory terms,
        Vouchers.Voucher memory voucher,
        uint40 until
    ) private view {
        run.state = stateOf[voucher.wearable];
        run.account = accountOf[voucher.wearable][voucher.payee];
        if (run.isLost && run.state.lost) run.lost = lostOf[voucher.wearable];
        run.owed = _less(voucher.total, run.account.paid);
        run.taps = _less(voucher.taps, run.account.taps);
        run.cut = _stop(run, terms, voucher, until);
        if (run.cut != Cut.None) return;
        run.amount = run.owed;
        _narrow(run, _less(voucher.cap, run.state.paid), Cut.CapSpent);
        if (terms.perDay != 0) {
            _narrow(run, run.state.limitLeft(terms, voucher, run.taps), Cut.DaySpent);
        }
        _narrow(run, _less(terms.offlineAmount, run.lost.paid), Cut.OfflineAmount);
        uint256 taps = _less(terms.offlineTaps, run.lost.taps);
        _narrow(run, run.owed * taps / run.taps, Cut.OfflineTaps);
    }

    /// @dev What stops the payment altogether.
    function _stop(
        VoucherRun memory run,
        Vouchers.Terms memory terms,
        Vouchers.Voucher memory voucher,
        uint40 until
    ) private view returns (Cut) {
        if (run.state.passedOn) return Cut.PassedOn;
        if (run.owed == 0 || run.taps == 0) return Cut.Superseded;
        uint40 doubled = frozenFrom[voucher.wearable];
        if (!run.active) return Cut.DeviceSilenced;
        if (doubled != 0 && voucher.counter >= doubled) return Cut.DoubleSpent;
        if (block.timestamp > voucher.expiry) return Cut.Expired;
        if (block.timestamp > uint256(voucher.signedAt) + terms.maxAge) return Cut.TooOld;
        bool ahead = voucher.signedAt > block.timestamp + Spending.CLOCK_GRACE;
        if (ahead || voucher.signedAt > until) return Cut.SignedAhead;
        if (voucher.signedAt < terms.start) return Cut.BeforeStart;
        if (run.state.timeFell(voucher)) return Cut.TimeFell;
        return run.state.tooSoon(voucher, terms.coolOff) ? Cut.CoolOff : Cut.None;
    }

    /// @dev Taps count as paid in proportion: rounded down for the payee, whose rest stays bounded, and
    /// up for a lost wearable's last allowance.
    function _book(
        VoucherRun memory run,
        Vouchers.Terms memory terms,
        Vouchers.Voucher memory voucher
    ) private {
        uint256 taps = run.taps * run.amount;
        run.account.paid += uint48(run.amount);
        run.account.taps += uint32(taps / run.owed);
        run.state.spend(terms, voucher, run.taps, run.amount);
        run.state.lost = run.isLost;
        accountOf[voucher.wearable][voucher.payee] = run.account;
        stateOf[voucher.wearable] = run.state;
        if (!run.isLost) return;
        taps = (taps + run.owed - 1) / run.owed;
        lostOf[voucher.wearable] =
            Account(run.lost.paid + uint48(run.amount), run.lost.taps + uint32(taps));
    }

    /// @dev A wearable's first agreement may say what was paid before; a later one goes on.
    function _carryOver(bytes32 wearable, uint40 start, bytes calldata terms) private {
        (bool sound, Vouchers.Start[] memory starts) = Vouchers.readStarts(terms);
        Spending.State memory state = stateOf[wearable];
        bool known = state.signedAt != 0;
        if (!sound) revert TermsMalformed(terms);
        if (known && starts.length != 0) revert StartsUnexpected(wearable);
        if (known) return;
        _carryDoubleSpend(wearable);
        for (uint256 i; i < starts.length; ++i) {
            accountOf[wearable][starts[i].payee] = Account(starts[i].paid, starts[i].taps);
            state.paid += starts[i].paid;
        }
        state.signedAt = start; // also keeps the slot non-zero: the first voucher costs no more
        stateOf[wearable] = state;
    }

    /// @dev A wearable that was shown to have signed twice at the predecessor is lost here as well.
    function _carryDoubleSpend(bytes32 wearable) private {
        if (predecessor.code.length == 0) return;
        uint40 doubled = IWearableVoucher(predecessor).frozenFrom(wearable);
        if (doubled == 0) return;
        frozenFrom[wearable] = doubled;
        emit DoubleSpendCarried(wearable, doubled);
    }

    function _requireSigned(
        Vouchers.Voucher calldata voucher,
        bytes32 digest,
        bytes calldata signature
    ) private view {
        (IDeviceRegistry.Status status, IDeviceRegistry.Curve curve, bytes32 x, bytes32 y) =
            registry.keyAt(voucher.wearable, voucher.signedAt);
        bool signable = status != IDeviceRegistry.Status.None && signature.length == 64;
        if (!signable) revert VoucherUnsigned(voucher.counter);
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        if (!registry.verify(curve, x, y, digest, r, s)) revert VoucherUnsigned(voucher.counter);
    }

    function _isDomain(address domain) private view returns (bool) {
        return domain == address(this) || (domain != address(0) && domain == predecessor);
    }

    function _linkable(address present, address wanted) private view returns (bool) {
        return present == address(0) && wanted != address(0) && wanted != address(this);
    }

    function _digest(Vouchers.Voucher calldata voucher, address domain)
        private
        view
        returns (bytes32)
    {
        Vouchers.Voucher memory copy = voucher;
        return copy.digest(domain);
    }

    function _narrow(VoucherRun memory run, uint256 amount, Cut cut) private pure {
        if (amount < run.amount) (run.amount, run.cut) = (amount, cut);
    }

    function _less(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : 0;
    }
}
