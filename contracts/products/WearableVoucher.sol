// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {Traits} from "../libraries/Traits.sol";
import {IWearableVoucher} from "./voucher/IWearableVoucher.sol";
import {Vouchers} from "./voucher/Vouchers.sol";

/// @title The product of wearables: what of a voucher is paid now, and double spending.
/// @notice IWearableVoucher documents it.
contract WearableVoucher is IWearableVoucher, EIP712 {
    using Vouchers for Vouchers.Voucher;

    struct State {
        bool open; // keeps the slot non-zero: the first voucher costs what the next ones do
        uint48 paid; // to all payees
        uint40 lastSignedAt; // of the newest voucher that was paid
        uint48 lostPaid; // since the wearable was lost
        uint32 lostTaps;
    }

    struct Account {
        uint48 paid;
        uint32 taps;
    }

    /// One voucher on its way through `price`.
    struct VoucherRun {
        State state;
        Account account;
        uint256 owed; // what it is worth beyond what was paid
        uint256 taps; // beyond those that were paid
        uint256 amount; // what can be paid of it now
        Cut cut; // why it is not paid in full
        bool lost;
    }

    uint256 private constant CLOCK_GRACE = 10 minutes; // what a terminal's clock may be ahead
    uint256 private constant DAYS_PER_WORD = 5; // of 48 bits each

    /// @notice The rail that may call.
    address public immutable rail;
    /// @notice Which devices were active when, and with which keys.
    IDeviceRegistry public immutable registry;
    /// @notice The terms of each agreement.
    mapping(bytes32 agreement => Vouchers.Terms) public termsOf;
    /// @notice What was paid on each agreement.
    mapping(bytes32 agreement => State) public stateOf;
    /// @inheritdoc IWearableVoucher
    mapping(bytes32 agreement => mapping(address payee => Account)) public accountOf;
    /// @inheritdoc IWearableVoucher
    mapping(bytes32 wearable => uint40) public frozenFrom;
    mapping(bytes32 agreement => mapping(uint256 fiveDays => uint256)) private _spent;

    modifier onlyRail() {
        if (msg.sender != rail) revert NotTheRail(msg.sender);
        _;
    }

    constructor(address rail_, address registry_) EIP712("proofrail-voucher", "1") {
        rail = rail_;
        registry = IDeviceRegistry(registry_);
    }

    /// @inheritdoc IProduct
    function name() external pure returns (string memory) {
        return "wearable_voucher";
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
    function digestOf(Vouchers.Voucher memory voucher) public view returns (bytes32) {
        return _hashTypedDataV4(voucher.hash());
    }

    /// @inheritdoc IWearableVoucher
    function spentOn(bytes32 agreement, uint256 day) public view returns (uint256) {
        uint256 word = _spent[agreement][day / DAYS_PER_WORD];
        return word >> (day % DAYS_PER_WORD * 48) & type(uint48).max;
    }

    /// @inheritdoc IProduct
    function open(bytes32 agreement, bytes32, bytes calldata terms) external onlyRail {
        // resolve
        (bool sound, Vouchers.Terms memory agreed) = Vouchers.readTerms(terms);
        // check
        if (!sound) revert TermsMalformed(terms);
        // effect
        termsOf[agreement] = agreed;
        stateOf[agreement].open = true;
    }

    /// @inheritdoc IProduct
    function price(Quote[] calldata quotes) external onlyRail returns (Price[] memory prices) {
        prices = new Price[](quotes.length);
        for (uint256 i; i < quotes.length; ++i) {
            prices[i] = _price(quotes[i]);
        }
    }

    /// @inheritdoc IWearableVoucher
    function reportDoubleSpend(
        Vouchers.Voucher calldata a,
        bytes calldata signatureA,
        Vouchers.Voucher calldata b,
        bytes calldata signatureB
    ) external {
        // resolve
        (bytes32 digestA, bytes32 digestB) = (digestOf(a), digestOf(b));
        uint40 earlier = frozenFrom[a.wearable];
        // check
        bool doubled = a.wearable == b.wearable && a.counter == b.counter && digestA != digestB;
        if (!doubled || a.counter == 0) revert NotDoubleSpend();
        _requireSigned(a, digestA, signatureA);
        _requireSigned(b, digestB, signatureB);
        // effect
        if (earlier == 0 || a.counter < earlier) frozenFrom[a.wearable] = a.counter;
        // event
        emit DoubleSpendProven(a.wearable, a.counter, digestA, digestB);
    }

    function _price(Quote calldata quote) private returns (Price memory) {
        // resolve
        (bool sound, Vouchers.Voucher memory voucher) =
            Vouchers.readFacts(quote.device, quote.facts);
        if (!sound) return _refused(Answer.FactsMalformed);
        Vouchers.Terms memory terms = termsOf[quote.agreement];
        // check
        if (!Vouchers.classAgreed(terms.classes, voucher.merchantClass)) {
            return _refused(Answer.ClassNotAgreed);
        }
        if (voucher.total > uint256(terms.perTap) * voucher.taps) {
            return _refused(Answer.TapTooLarge);
        }
        (Answer answer, bool active, bool lost) = _signed(voucher, quote.facts);
        if (answer != Answer.Priced) return _refused(answer);
        VoucherRun memory run = _payable(quote.agreement, terms, voucher, active, lost);
        if (run.amount > quote.limit) return _refused(Answer.OverLimit);
        // effect
        if (run.amount != 0) _book(quote.agreement, terms, voucher, run);
        // event
        if (run.cut != Cut.None) {
            uint48 unpaid = uint48(run.owed - run.amount);
            emit VoucherCut(quote.agreement, voucher.payee, voucher.counter, unpaid, run.cut);
        }
        return Price(int48(uint48(run.amount)), 0, voucher.payee);
    }

    /// @dev Whether the wearable signed, whether it might at that time, and whether it is lost by now.
    /// A device that was silenced after the quorum looked is no fault of the agreement: it is paid
    /// nothing, and not refused. One that was never enrolled, or is compromised, is refused.
    function _signed(Vouchers.Voucher memory voucher, bytes calldata facts)
        private
        view
        returns (Answer answer, bool active, bool lost)
    {
        bytes32 device = voucher.wearable;
        (IDeviceRegistry.Status status, IDeviceRegistry.Curve curve, bytes32 x, bytes32 y) =
            registry.keyAt(device, voucher.signedAt);
        active = status == IDeviceRegistry.Status.Active;
        lost = frozenFrom[device] != 0 || !registry.activeAt(device, uint40(block.timestamp));
        bool believed = status != IDeviceRegistry.Status.None
            && (!lost || registry.compromisedSince(device) == 0);
        if (!believed) return (Answer.DeviceNotActive, active, lost);
        (bytes32 r, bytes32 s) = abi.decode(facts[256:], (bytes32, bytes32));
        bool genuine = registry.verify(curve, x, y, digestOf(voucher), r, s);
        return (genuine ? Answer.Priced : Answer.SignatureInvalid, active, lost);
    }

    /// @dev How much of what the voucher is owed can be paid now, and what cuts it.
    function _payable(
        bytes32 agreement,
        Vouchers.Terms memory terms,
        Vouchers.Voucher memory voucher,
        bool active,
        bool lost
    ) private view returns (VoucherRun memory run) {
        (State memory state, Account memory account) =
            (stateOf[agreement], accountOf[agreement][voucher.payee]);
        (run.state, run.account, run.lost) = (state, account, lost);
        run.owed = _less(voucher.total, account.paid);
        run.taps = _less(voucher.taps, account.taps);
        run.cut = _stop(terms, state, voucher, active);
        if (run.owed == 0 || run.taps == 0) run.cut = Cut.Superseded;
        if (run.cut != Cut.None) return run;
        run.amount = run.owed;
        _narrow(run, _less(voucher.cap, state.paid), Cut.CapSpent);
        if (terms.perDay != 0) {
            uint256 spent = spentOn(agreement, voucher.signedAt / 1 days);
            _narrow(run, _less(terms.perDay, spent), Cut.DaySpent);
        }
        uint256 allowed = _less(terms.offlineAmount, lost ? state.lostPaid : 0);
        _narrow(run, allowed, Cut.OfflineAmount);
        allowed = _less(terms.offlineTaps, lost ? state.lostTaps : 0);
        _narrow(run, run.owed * allowed / run.taps, Cut.OfflineTaps);
    }

    /// @dev What stops the payment altogether.
    function _stop(
        Vouchers.Terms memory terms,
        State memory state,
        Vouchers.Voucher memory voucher,
        bool active
    ) private view returns (Cut) {
        uint40 doubled = frozenFrom[voucher.wearable];
        if (!active) return Cut.DeviceSilenced;
        if (doubled != 0 && voucher.counter >= doubled) return Cut.DoubleSpent;
        if (block.timestamp > voucher.expiry) return Cut.Expired;
        if (block.timestamp > uint256(voucher.signedAt) + terms.maxAge) return Cut.TooOld;
        if (voucher.signedAt > block.timestamp + CLOCK_GRACE) return Cut.SignedAhead;
        uint256 apart = voucher.signedAt > state.lastSignedAt
            ? voucher.signedAt - state.lastSignedAt
            : state.lastSignedAt - voucher.signedAt;
        return apart < terms.coolOff ? Cut.CoolOff : Cut.None;
    }

    /// @dev Taps count as paid in proportion: rounded down for the payee, whose rest stays bounded, and
    /// up for a lost wearable's last allowance.
    function _book(
        bytes32 agreement,
        Vouchers.Terms memory terms,
        Vouchers.Voucher memory voucher,
        VoucherRun memory run
    ) private {
        (State memory state, Account memory account) = (run.state, run.account);
        uint256 taps = run.taps * run.amount;
        account.paid += uint48(run.amount);
        account.taps += uint32(taps / run.owed);
        state.paid += uint48(run.amount);
        if (voucher.signedAt > state.lastSignedAt) state.lastSignedAt = voucher.signedAt;
        state.lostPaid = run.lost ? state.lostPaid + uint48(run.amount) : 0;
        taps = (taps + run.owed - 1) / run.owed;
        state.lostTaps = run.lost ? state.lostTaps + uint32(taps) : 0;
        (stateOf[agreement], accountOf[agreement][voucher.payee]) = (state, account);
        if (terms.perDay == 0) return;
        uint256 day = voucher.signedAt / 1 days;
        _spent[agreement][day / DAYS_PER_WORD] += run.amount << (day % DAYS_PER_WORD * 48);
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

    function _narrow(VoucherRun memory run, uint256 amount, Cut cut) private pure {
        if (amount < run.amount) (run.amount, run.cut) = (amount, cut);
    }

    function _less(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : 0;
    }

    function _refused(Answer answer) private pure returns (Price memory) {
        return Price(0, uint8(answer), address(0));
    }
}
