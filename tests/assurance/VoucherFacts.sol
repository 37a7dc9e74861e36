// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceRegistry} from "../../contracts/interfaces/IDeviceRegistry.sol";
import {EnergyFacts} from "./EnergyFacts.sol";
import {DeliveryFacts} from "./DeliveryFacts.sol";
import {FleetFacts} from "./FleetFacts.sol";
import {Products} from "./Products.sol";
import {ReportFacts} from "./ReportFacts.sol";

/// @title Wearables that tap: cumulative vouchers, fresh ones, old ones, and forged ones.
/// @notice How much of a voucher is paid at once depends on days and clocks; the model holds the
/// bounds: never more than was signed, than its cap, or than the days' limits allow.
abstract contract VoucherFacts is EnergyFacts, DeliveryFacts, FleetFacts, ReportFacts {
    uint256 internal constant PER_TAP = 5 * EURO;
    uint256 internal constant PER_DAY = 20 * EURO;
    uint256 internal constant AT_ONCE = 15 * EURO;
    uint256 internal constant VOUCHER_CAP = 300 * EURO;
    uint8 internal constant FORGED = 103;
    bytes32 private constant VOUCHER_TYPE = keccak256(
        "Voucher(bytes32 wearable,address payee,uint48 total,uint40 counter,uint32 taps,"
        "uint16 merchantClass,uint48 cap,uint40 signedAt,uint40 expiry)"
    );

    /// What a wearable has counted: per payee its total and taps, over all payees its counter.
    struct Card {
        uint256 counter;
        uint256 signedAt; // of the last tap
        bytes[] vouchers; // facts of all that it signed
        uint256 waiting; // how many of the last ones no claim was made of
    }

    /// What was paid of a wearable's vouchers since it was lost.
    struct Loss {
        bool begun;
        uint256 paid;
    }

    mapping(uint256 device => Card) internal cardOf;
    mapping(uint256 device => Loss) private _lossOf;
    mapping(uint256 device => uint256) internal doubledFrom; // the counter that was signed twice
    mapping(uint256 device => mapping(address payee => uint256)) internal tapsOf;

    function _voucherTerms() internal returns (bytes memory) {
        uint256[4] memory classes; // any
        uint256 coolOff = _once(2) ? 0 : 60;
        return abi.encode(
            block.chainid,
            address(voucher),
            PER_TAP,
            PER_DAY,
            classes,
            coolOff,
            50,
            AT_ONCE,
            MAX_AGE
        );
    }

    function _planVoucher(Plan memory plan) internal {
        uint256 wearable = pacts[plan.pact].device;
        Card storage card = cardOf[wearable];
        (plan.guessed, plan.refusal) = (true, UNKNOWN);
        if (card.waiting != 0 && !_once(4)) {
            plan.facts = card.vouchers[card.vouchers.length - card.waiting--];
        } else if (card.vouchers.length != 0 && _once(4)) {
            plan.facts = card.vouchers[_random(card.vouchers.length)];
            _hit("state:voucher shown again");
        } else {
            bool forged = _once(12);
            address payee = _anyPayee().account;
            plan.facts = _tap(wearable, payee, ++card.counter, forged);
            if (forged) plan.refusal = FORGED;
            else card.vouchers.push(plan.facts);
        }
        plan.payee = address(uint160(_wordOf(plan.facts, 0)));
    }

    /// @dev Whether the product asks for a signature at all: the wearable was enrolled when it signed,
    /// and its key is not stolen.
    function _isBelieved(Plan memory plan) internal view returns (bool) {
        Device storage wearable = devices[pacts[plan.pact].device];
        bool known = _statusAt(wearable, _wordOf(plan.facts, 6)) != IDeviceRegistry.Status.None;
        return known && wearable.compromisedSince == 0;
    }

    /// @dev Signs a voucher over all taps so far and one to nine more.
    function _tap(uint256 wearable, address payee, uint256 counter, bool forged)
        internal
        returns (bytes memory)
    {
        uint256 taps = 1 + _random(9);
        uint256 total = signedTotal[wearable][payee] + 1 + _random(PER_TAP * taps);
        taps += tapsOf[wearable][payee];
        if (!forged) (signedTotal[wearable][payee], tapsOf[wearable][payee]) = (total, taps);
        uint256 signedAt = _signedAt(wearable);
        bytes memory words =
            abi.encode(payee, total, counter, taps, 5411, VOUCHER_CAP, signedAt, clock + 30 days);
        uint256 key = _keyAt(devices[wearable], signedAt);
        return _signedVoucher(devices[wearable].id, forged || key == 0 ? 7 : key, words);
    }

    /// @dev Within the last hours; mostly after the tap before, as counters and clocks want it.
    function _signedAt(uint256 wearable) private returns (uint256 time) {
        Card storage card = cardOf[wearable];
        time = clock - _random(6 hours);
        if (time < card.signedAt + 90 && !_once(6)) {
            time = card.signedAt + 90 < clock ? card.signedAt + 90 : clock;
        }
        card.signedAt = time;
    }

    function _signedVoucher(bytes32 wearable, uint256 key, bytes memory words)
        private
        view
        returns (bytes memory)
    {
        bytes32 structHash = keccak256(bytes.concat(abi.encode(VOUCHER_TYPE, wearable), words));
        bytes32 domain = _separator("proofrail-voucher", "1", address(voucher));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, structHash));
        (bytes32 r, bytes32 s) = vm.signP256(key, digest);
        return bytes.concat(words, r, s);
    }

    function _applyVoucher(Plan memory plan, uint256 amount) internal {
        uint256 wearable = pacts[plan.pact].device;
        voucherPaid[wearable][plan.payee] += amount;
        wearablePaid[wearable] += amount;
        _rule(
            "a voucher's taps are paid once",
            voucherPaid[wearable][plan.payee] <= signedTotal[wearable][plan.payee]
        );
        _rule("a voucher brings no more at once than agreed", amount <= AT_ONCE);
        _rule("a wearable spends no more than its cap", wearablePaid[wearable] <= VOUCHER_CAP);
        uint256 today = (clock + 10 minutes) / 1 days + 1;
        uint256 most = PER_DAY * (today - wearableSince[wearable] / 1 days);
        _rule("a wearable spends no more than its days allow", wearablePaid[wearable] <= most);
        if (amount == 0) return _hit("state:voucher paid nothing");
        _rule("a stolen wearable pays nothing", devices[wearable].compromisedSince == 0);
        bool active = _isActive(devices[wearable], _wordOf(plan.facts, 6));
        _rule("what a wearable signs while it is silenced pays nothing", active);
        uint256 doubled = doubledFrom[wearable];
        _rule(
            "from a counter that was signed twice on nothing is paid",
            doubled == 0 || _wordOf(plan.facts, 2) < doubled
        );
        _applyLoss(wearable, amount);
    }

    /// @dev What is paid while it is lost adds up, until something is paid while it is not.
    function _applyLoss(uint256 wearable, uint256 amount) private {
        Loss storage loss = _lossOf[wearable];
        bool lost = doubledFrom[wearable] != 0 || !_isActive(devices[wearable], clock);
        loss.paid = lost ? amount + (loss.begun ? loss.paid : 0) : 0;
        if (lost && loss.begun) _hit("state:lost wearable paid again");
        loss.begun = lost;
        _rule("a lost wearable brings its last allowance at most", loss.paid <= AT_ONCE);
    }

    /// @dev One of the words that facts begin with.
    function _wordOf(bytes memory facts, uint256 index) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(facts, mul(32, add(index, 1))))
        }
    }

    function _terms(Device storage device) internal override returns (bytes memory) {
        Kind kind = device.kind;
        if (kind == Kind.Meter) return _energyTerms();
        if (kind == Kind.Recipient) return _deliveryTerms();
        if (kind == Kind.Fleet) return _fleetTerms(device);
        if (_reports(kind)) return _reportTerms();
        return kind == Kind.Wearable ? _voucherTerms() : bytes("");
    }

    function _opened(uint256 pact, bytes memory terms) internal override {
        Pact storage pact_ = pacts[pact];
        if (pact_.kind == Kind.Meter) {
            _openMeter(pact, terms);
        } else if (pact_.kind == Kind.Recipient) {
            _openParcel(pact, terms);
        } else if (pact_.kind == Kind.Fleet) {
            _openFleet(pact);
        } else if (_reports(pact_.kind)) {
            _openPolicy(pact, terms);
        } else if (pact_.kind == Kind.Wearable && wearableSince[pact_.device] == 0) {
            wearableSince[pact_.device] = pact_.start;
        }
    }

    function _skipped(uint256 pact) internal override {
        if (pacts[pact].kind == Kind.Meter) _skipMeter(pact);
        else if (pacts[pact].kind == Kind.Fleet) _skipFleet(pact);
    }

    function _refunded(uint256 pact, uint256 amount) internal override {
        if (pacts[pact].kind == Kind.Meter) meterOf[pact].refunded += amount;
        else if (pacts[pact].kind == Kind.Recipient) parcelOf[pact].refunded += amount;
        else if (_reports(pacts[pact].kind)) policyOf[pact].refunded += amount;
        else if (pacts[pact].kind == Kind.Fleet) _hit("state:fleet's payment refunded");
    }
}
