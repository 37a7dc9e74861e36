// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IDeviceRegistry} from "../../contracts/interfaces/IDeviceRegistry.sol";
import {World} from "./World.sol";

/// @title What should be true: sums and histories kept apart from the contracts' own.
/// @notice Handlers write here what they saw accepted, from the amounts they computed themselves.
/// Nothing here is read from a running sum of the contracts.
abstract contract Model is World {
    enum Kind {
        Meter,
        Recipient,
        Wearable,
        Fleet, // the head of one
        Plain, // what no product that ships does
        Premium, // from here on those that charge reports, in the order of `leaves`
        Service,
        Savings,
        Cover,
        Repair,
        Unlock
    }

    /// An agreement.
    struct Pact {
        bytes32 id;
        Kind kind;
        uint8 payer; // index in `payers`
        address payee; // zero: the voucher names it
        uint256 device; // index in `devices`
        uint256 cap;
        uint256 periodDays;
        uint256 window;
        uint256 start;
        uint256 expiry;
        uint256 grace;
        uint256 openedAt;
        uint8 domain;
        uint256 bond;
        bool ended; // its escrow was reclaimed
        uint256 sequence;
        uint256 firstCounter;
        uint256 lastCounter;
        uint256 escrow;
        uint256 charged;
        uint256 givenBack; // refunds and corrections
        uint256 period; // of the last claim
        uint256 grossIn; // charged in that period
        uint256 paidBackIn; // debts paid in it
        bool steady; // nothing was done to its device that anyone would have to ask for
    }

    /// A charge.
    struct Paid {
        uint256 pact;
        uint256 sequence;
        address payee;
        uint256 amount;
        uint256 releaseAt;
        bytes32 root;
        bytes32 claim;
        uint216 signers;
        bool disputed; // ever
        bool proven; // a fault of its record
        bool released; // its release time was released
    }

    /// A dispute that is open.
    struct Case {
        uint256 paid; // index in `paids`
        address challenger;
        uint256 bond;
        uint256 openedAt;
    }

    struct Change {
        uint256 since;
        IDeviceRegistry.Status status;
    }

    struct DeviceKey {
        uint256 since;
        uint256 key;
    }

    struct Device {
        bytes32 id;
        string name;
        Kind kind;
        uint8 owner; // index in `owners`
        uint256 adoptedAt; // 0: enrolled here
        uint256 compromisedSince;
        uint256 ruledAt;
        uint256 rulings;
        uint256 consents; // how often the owner revoked its consents
        DeviceKey[] keys;
        Change[] statuses;
    }

    struct Pause {
        uint256 from;
        uint256 until;
    }

    uint256 internal constant MOST_PACTS = 48;
    uint256 internal constant KINDS = 11;

    Pact[] internal pacts;
    Paid[] internal paids;
    Case[] internal cases;
    Device[] internal devices;
    Pause[] internal pauses;
    mapping(bytes32 root => bytes32[]) internal leavesOf;
    mapping(bytes32 device => uint256 pactNumber) internal aloneOf; // index + 1; 0: none
    mapping(bytes32 payment => bool) internal applied;

    // money
    uint256 internal minted;
    uint256 internal redeemed; // by anyone
    uint256 internal ordered; // by the rail
    uint256 internal donations;
    uint256 internal bonds;
    uint256 internal settled; // batches with an applied claim
    mapping(address payee => mapping(uint256 releaseAt => uint256)) internal pendingOf;
    mapping(address payee => uint256[]) internal timesOf;
    mapping(address payee => uint256) internal withdrawableOf;
    mapping(address payee => mapping(uint256 pact => uint256)) internal debtOf;
    mapping(address payee => uint256[]) internal creditorsOf; // pacts, the oldest debt first
    mapping(address payee => bytes32) internal accountOf;
    mapping(address payee => uint256) internal minimumOf;
    mapping(address payee => uint256) internal strangersDay;

    // what a wearable signed, and what was paid of it
    mapping(uint256 device => mapping(address payee => uint256)) internal signedTotal;
    mapping(uint256 device => mapping(address payee => uint256)) internal voucherPaid;
    mapping(uint256 device => uint256) internal wearablePaid;
    mapping(uint256 device => uint256) internal wearableSince; // start of its first agreement

    function _paused() internal view returns (bool) {
        return pauses.length != 0 && clock < pauses[pauses.length - 1].until;
    }

    /// @dev Seconds of pauses, also of those to come of the present one, after a time.
    function _pausedSince(uint256 time) internal view returns (uint256 sum) {
        for (uint256 i; i < pauses.length; ++i) {
            uint256 from = pauses[i].from > time ? pauses[i].from : time;
            if (pauses[i].until > from) sum += pauses[i].until - from;
        }
    }

    /// @dev The last second in which claims of an agreement are taken.
    function _endOf(Pact storage pact) internal view returns (uint256) {
        return pact.expiry + pact.grace + _pausedSince(pact.openedAt);
    }

    function _deadlineOf(Case storage case_) internal view returns (uint256) {
        return case_.openedAt + 30 days + _pausedSince(case_.openedAt);
    }

    /// @dev What the cap leaves now: gross charges of the period less debts that were paid in it.
    function _capLeft(Pact storage pact) internal view returns (uint256) {
        if (_periodNow(pact) != pact.period) return pact.cap;
        uint256 spent = pact.grossIn > pact.paidBackIn ? pact.grossIn - pact.paidBackIn : 0;
        return spent < pact.cap ? pact.cap - spent : 0;
    }

    function _periodNow(Pact storage pact) internal view returns (uint256) {
        if (pact.periodDays == 0) return 0;
        return clock / 1 days / pact.periodDays;
    }

    function _owedBy(address payee) internal view returns (uint256 sum) {
        uint256[] storage list = creditorsOf[payee];
        for (uint256 i; i < list.length; ++i) {
            sum += debtOf[payee][list[i]];
        }
    }

    /// @dev Takes money for the payee's debts, the oldest first.
    function _payDebts(address payee, uint256 money) internal returns (uint256 paid) {
        uint256[] storage list = creditorsOf[payee];
        for (uint256 i; i < list.length && paid < money; ++i) {
            uint256 debt = debtOf[payee][list[i]];
            uint256 part = money - paid < debt ? money - paid : debt;
            if (part == 0) continue;
            Pact storage pact = pacts[list[i]];
            debtOf[payee][list[i]] = debt - part;
            pact.escrow += part;
            if (_periodNow(pact) == pact.period) pact.paidBackIn += part;
            paid += part;
            _hit(part == debt ? "state:debt paid in full" : "state:debt paid in part");
        }
        while (list.length != 0 && debtOf[payee][list[0]] == 0) _dropFirst(list);
    }

    function _dropFirst(uint256[] storage list) private {
        for (uint256 i = 1; i < list.length; ++i) {
            list[i - 1] = list[i];
        }
        list.pop();
    }

    function _addDebt(address payee, uint256 pact, uint256 amount) internal {
        if (amount == 0) return;
        uint256[] storage list = creditorsOf[payee];
        bool listed;
        for (uint256 i; i < list.length; ++i) {
            listed = listed || list[i] == pact;
        }
        if (!listed) list.push(pact);
        debtOf[payee][pact] += amount;
        _hit("state:debt open");
    }

    /// @dev Whether a device could sign at a time, by what was done to it.
    function _statusAt(Device storage device, uint256 time)
        internal
        view
        returns (IDeviceRegistry.Status status)
    {
        for (uint256 i; i < device.statuses.length; ++i) {
            if (device.statuses[i].since <= time) status = device.statuses[i].status;
        }
        if (status == IDeviceRegistry.Status.None) return status;
        uint256 stolen = device.compromisedSince;
        if (stolen != 0 && time >= stolen) return IDeviceRegistry.Status.Compromised;
    }

    function _isActive(Device storage device, uint256 time) internal view returns (bool) {
        return _statusAt(device, time) == IDeviceRegistry.Status.Active;
    }

    /// @dev Whether a device works, and will go on as long as nothing is done to it.
    function _isSteady(Device storage device) internal view returns (bool) {
        IDeviceRegistry.Status status = device.statuses[device.statuses.length - 1].status;
        return status == IDeviceRegistry.Status.Active && device.compromisedSince == 0;
    }

    /// @dev Since when a steady device has the key and the status that it has.
    function _steadySince(Device storage device) internal view returns (uint256 since) {
        since = device.keys[device.keys.length - 1].since;
        uint256 changed = device.statuses[device.statuses.length - 1].since;
        if (changed > since) since = changed;
        if (device.adoptedAt > since) since = device.adoptedAt;
    }

    /// @dev Something was done to a device: its agreement may be steady no more.
    function _disturbed(Device storage device) internal {
        if (aloneOf[device.id] == 0 || _isSteady(device)) return;
        _endSteadiness(pacts[aloneOf[device.id] - 1]);
    }

    function _endSteadiness(Pact storage pact) internal {
        if (pact.steady) _hit("state:row unsteady");
        pact.steady = false;
    }

    /// @dev The key that a device had at a time; 0: none.
    function _keyAt(Device storage device, uint256 time) internal view returns (uint256 key) {
        for (uint256 i; i < device.keys.length; ++i) {
            if (device.keys[i].since <= time) key = device.keys[i].key;
        }
    }

    function _balance(address holder) internal view returns (uint256) {
        return IERC20(address(token)).balanceOf(holder);
    }

    /// @dev Picks an agreement, one that is not ended three times of four.
    function _anyPact() internal returns (uint256 index) {
        index = _random(pacts.length);
        for (uint256 i; i < 3 && pacts[index].ended; ++i) {
            index = _random(pacts.length);
        }
    }

    function _anyPayee() internal returns (Person memory) {
        return payees[_random(payees.length)];
    }

    function _productOf(Kind kind) internal view returns (address) {
        if (kind == Kind.Meter) return address(energy);
        if (kind == Kind.Recipient) return address(delivery);
        if (kind == Kind.Wearable) return address(voucher);
        if (kind == Kind.Fleet) return address(fleet);
        return _reports(kind) ? address(leaves[_leafOf(kind)]) : address(plain);
    }

    /// @dev Whether agreements of a kind are charged by reports.
    function _reports(Kind kind) internal pure returns (bool) {
        return kind > Kind.Plain;
    }

    function _leafOf(Kind kind) internal pure returns (uint256) {
        return uint256(kind) - uint256(Kind.Plain) - 1;
    }

    /// @dev Whether a device may serve several agreements at once.
    function _isShared(Kind kind) internal pure returns (bool) {
        return kind == Kind.Recipient || _reports(kind);
    }
}
