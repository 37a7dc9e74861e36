// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IDeviceRegistry} from "../../contracts/interfaces/IDeviceRegistry.sol";
import {Stage, State} from "../../contracts/products/energy/EnergyRules.sol";
import {HandlerKnocks} from "./HandlerKnocks.sol";
import {IFleetRows} from "./IFleetRows.sol";
import {IMeterStates} from "./IMeterStates.sol";

/// @title What must hold after each call, of any kind.
/// @notice The rules that are about one call are checked by its handler, under the same names in
/// the table. Sums are compared after each call; each agreement, payee and device after every
/// fourth at least, since what is wrong there stays wrong.
abstract contract Rules is HandlerKnocks {
    uint256 private constant TURNS = 4; // calls until each agreement and payee was looked at

    mapping(uint256 key => uint256 x) private _publics;

    /// Sums over the model.
    struct Sums {
        uint256 escrow;
        uint256 pending;
        uint256 withdrawable;
        uint256 frozen;
        uint256 owed;
    }

    function _checkMoney() internal {
        Sums memory sums;
        _checkPacts(sums);
        _checkPayees(sums);
        for (uint256 i; i < cases.length; ++i) {
            Paid storage paid = paids[cases[i].paid];
            (, uint48 amount,) = rail.frozen(_paymentOf(cases[i].paid));
            _always("a disputed payment is frozen in full", amount == paid.amount);
            sums.frozen += paid.amount;
        }
        _checkTotals(sums);
        _checkTokens(sums);
    }

    function _checkPacts(Sums memory sums) private {
        bool ok = true;
        for (uint256 i; i < pacts.length; ++i) {
            Pact storage pact = pacts[i];
            sums.escrow += pact.escrow;
            // what is over changes seldom: each in its turn
            bool over = pact.ended && pact.escrow == 0 && i != calls % pacts.length;
            if (over || !_isTurn(i)) continue;
            (uint32 sequence, uint40 counter, uint48 escrow,, uint32 expiry, uint8 status) =
                rail.agreementState(pact.id);
            ok = ok && sequence == pact.sequence && counter == pact.lastCounter;
            _always("an agreement's escrow is what came in and did not go", escrow == pact.escrow);
            _always(
                "an agreement's end is what was agreed or closed",
                expiry == pact.expiry && status == (pact.ended ? 2 : 1)
            );
        }
        _always("sequences and counters move with claims alone", ok);
        uint256 some = calls % pacts.length; // each agreement in its turn
        for (uint256 i = _naming ? 0 : some; i < pacts.length && (_naming || i == some); ++i) {
            _checkNote(i);
        }
        (uint256 endsAt, uint32 grace, uint48 bond, uint256 charged, uint256 givenBack) =
            rail.agreementEnd(pacts[some].id);
        _always("charges less refunds and corrections are never below zero", charged >= givenBack);
        _always(
            "what was charged and given back adds up",
            charged == pacts[some].charged && givenBack == pacts[some].givenBack
        );
        _always("a pause extends every agreement by its length", endsAt == _endOf(pacts[some]));
        _always(
            "grace and bond stay as agreed", grace == pacts[some].grace && bond == pacts[some].bond
        );
    }

    /// @dev What the rail keeps of an agreement's product and its device.
    function _checkNote(uint256 index) private {
        Pact storage pact = pacts[index];
        (uint80 note, bool steady) = rail.noteOf(pact.id);
        _always("an agreement is steady until its device may sign no more", steady == pact.steady);
        uint256 span = clock - pact.start + 1;
        uint256 time = pact.start + uint256(keccak256(abi.encode(calls))) % span;
        bytes32 device = devices[pact.device].id;
        _always(
            "a steady agreement's device was active ever since its start",
            !steady || pact.ended
                || (registry.activeAt(device, uint40(clock))
                    && registry.activeAt(device, uint40(time)))
        );
        if (_reports(pact.kind)) {
            uint256 wanted = _policyNote(policyOf[index]);
            _always("a note says which period was charged last", note == wanted);
            return;
        }
        if (pact.kind == Kind.Fleet) return _checkFleet(index, note);
        if (pact.kind != Kind.Meter) {
            _always("meters, fleets and reports alone keep notes in the rail", note == 0);
            return;
        }
        Meter memory meter = meterOf[index];
        State memory state = IMeterStates(address(energy)).stateOf(pact.id, 0);
        _always("a note says how far its meter is charged", note == _noteOf(meter));
        _always(
            "a meter's state follows from its claims",
            state.register == meter.register && state.time == meter.time
                && state.ahead == meter.ahead && state.remainder == meter.exact % 1e6
                && state.stage == (meter.anchored ? Stage.Anchored : Stage.Open)
        );
    }

    function _checkFleet(uint256 index, uint256 note) private {
        Fleet storage fleet_ = fleetOf[index];
        bytes32 rows = IFleetRows(address(fleet)).rowsOf(pacts[index].id);
        _always("a note says how far its fleet is charged", note == _fleetNote(fleet_));
        _always("the rows of a fleet are as its claims left them", rows == _hashOf(fleet_));
        _always(
            "a fleet pays for what its registers rose by, but for what was passed over",
            pacts[index].charged == _fleetCharge(fleet_)
        );
    }

    function _hashOf(Fleet storage fleet_) private view returns (bytes32) {
        return keccak256(_rowBytes(fleet_.rows));
    }

    function _checkPayees(Sums memory sums) private {
        for (uint256 i; i < payees.length; ++i) {
            address payee = payees[i].account;
            uint256[] storage times = timesOf[payee];
            for (uint256 j; j < times.length; ++j) {
                sums.pending += pendingOf[payee][times[j]];
            }
            sums.owed += _owedBy(payee);
            sums.withdrawable += withdrawableOf[payee];
            if (_isTurn(i)) _checkPayee(payee);
        }
    }

    function _checkPayee(address payee) private {
        uint256[] storage creditors = creditorsOf[payee];
        for (uint256 i; i < creditors.length; ++i) {
            uint256 debt = debtOf[payee][creditors[i]];
            _always(
                "a debt falls by what is paid and cancelled alone",
                rail.owedTo(payee, pacts[creditors[i]].id) == debt
            );
        }
        _always("a payee owes the sum of its debts", rail.owed(payee) == _owedBy(payee));
        _always(
            "withdrawable money is what was released and not taken",
            rail.withdrawable(payee) == withdrawableOf[payee]
        );
        uint256[] storage times = timesOf[payee];
        if (times.length == 0) return;
        uint256 time = times[calls / TURNS % times.length];
        _always(
            "pending money waits for its release time",
            rail.pending(payee, uint32(time)) == pendingOf[payee][time]
        );
    }

    /// @dev Whether the agreement or payee with this index is looked at after this call.
    function _isTurn(uint256 index) private view returns (bool) {
        return _naming || (calls + index) % TURNS == 0;
    }

    function _checkTotals(Sums memory sums) private {
        (
            uint256 escrow,
            uint256 pending,
            uint256 withdrawable,
            uint256 frozen,
            uint256 redeemed_,
            uint256 owed
        ) = rail.totals();
        _always("total escrow is the sum of the agreements'", escrow == sums.escrow);
        _always("total pending is the sum of the payees'", pending == sums.pending);
        _always("total withdrawable is the sum of the payees'", withdrawable == sums.withdrawable);
        _always("total frozen is the sum of the open disputes", frozen == sums.frozen);
        _always("total owed is the sum of the debts", owed == sums.owed);
        _always("total redeemed is the sum of the orders", redeemed_ == ordered);
        uint256 claimed = escrow + pending + withdrawable + frozen;
        _always(
            "the rail holds what it owes and donations",
            _balance(address(rail)) == claimed + donations
        );
        _always("settlements are numbered one by one", rail.settlements() == settled);
    }

    function _checkTokens(Sums memory) private {
        _always("disputes hold the open bonds", _balance(address(disputes)) == bonds);
        _always("challenges hold nothing", _balance(address(challenges)) == 0);
        uint256 supply = IERC20(address(token)).totalSupply();
        _always("supply is what was minted less what was redeemed", supply == minted - redeemed);
        if (!_isTurn(0)) return;
        uint256 held = _balance(address(rail)) + _balance(address(disputes)) + _balance(stranger);
        for (uint256 i; i < payers.length; ++i) {
            held += _balance(payers[i].account);
        }
        for (uint256 i; i < payees.length; ++i) {
            held += _balance(payees[i].account);
        }
        held += _inWaterfalls();
        _always("no token appears or vanishes", held == supply);
    }

    function _checkPowers() internal {
        _always("a pause ends by itself", rail.paused() == _paused());
        (uint32 until, uint32 total) = rail.pauses();
        _always(
            "pauses are counted in full",
            total == _pausedSince(0)
                && (pauses.length == 0 || until == pauses[pauses.length - 1].until)
        );
        _always(
            "the quorum is more than two thirds of the seated",
            committee.quorum() == _quorum() && committee.seatedCount() == _seatedCount()
        );
        uint256 oracle = calls % oracles.length;
        (uint8 domain, bool seated, bool barred, bool silenced, uint8 index) =
            committee.memberOf(oracles[oracle].account);
        Seat storage seat_ = seatOf[oracle];
        _always(
            "members are seated, silenced and barred by the rules alone",
            seated == seat_.seated && barred == seat_.barred && silenced == seat_.silenced
        );
        _always(
            "a member keeps its index and its domain",
            index == seat_.index && domain == (seat_.known ? _domainOf(oracle) : 0)
        );
        address person = owners[calls % owners.length].account;
        _always(
            "officers are seated and taken away by the rules alone",
            officers.isOfficer(person) == officerOf[person]
        );
    }

    /// @dev One device in its turn, at a time in the past, so that what was true stays true.
    function _checkDevices() internal {
        uint256 index = calls % devices.length;
        Device storage device = devices[index];
        bytes32 chance = keccak256(abi.encode(calls));
        uint256 time = _timeOf(device, uint256(chance));
        (IDeviceRegistry.Status status,, bytes32 x,) = registry.keyAt(device.id, uint40(time));
        uint256 wanted = _publicOf(_keyAt(device, time));
        _always("a device's key at a time stays its key at that time", uint256(x) == wanted);
        _always(
            "a device's status at a time changes by compromises alone",
            status == _statusAt(device, time)
        );
        _always(
            "activeAt and keyAt agree",
            registry.activeAt(device.id, uint40(time)) == _isActive(device, time)
        );
        _always(
            "a compromise is declared or ruled",
            registry.compromisedSince(device.id) == device.compromisedSince
        );
        _always(
            "a gateway signs from its assignment to the next",
            registry.gatewayAt(device.id, uint40(time)) == _gatewayAt(index, time)
        );
        bytes32 alone = aloneOf[device.id] == 0 ? bytes32(0) : pacts[aloneOf[device.id] - 1].id;
        _always("a device serves one agreement alone", rail.agreementOf(device.id) == alone);
    }

    /// @dev The x of a key's point; computing it costs more than the call that is checked.
    function _publicOf(uint256 key) private returns (uint256 x) {
        x = _publics[key];
        if (x != 0) return x;
        (x,) = vm.publicKeyP256(key);
        _publics[key] = x;
    }

    /// @dev A time of the device's past: any, or the first or last second of a key or a status.
    function _timeOf(Device storage device, uint256 chance) private view returns (uint256 time) {
        uint256 first = device.statuses[0].since;
        uint256 what = chance % 8;
        chance >>= 8;
        if (what < 2) time = device.keys[chance % device.keys.length].since - what;
        else if (what < 4) time = device.statuses[chance % device.statuses.length].since + 2 - what;
        else time = first + chance % (clock - first + 1);
        return time < first ? first : time;
    }

    function _checkDisputes() internal {
        if (cases.length == 0) return;
        Case storage case_ = cases[calls % cases.length];
        (address challenger, uint48 bond, uint256 deadline,,) =
            disputes.disputeOf(_paymentOf(case_.paid));
        _always(
            "a dispute keeps its challenger and its bond",
            challenger == case_.challenger && bond == case_.bond
        );
        _always(
            "a dispute ends within 30 days and the pauses since", deadline == _deadlineOf(case_)
        );
    }

    function _gatewayAt(uint256 device, uint256 time) private view returns (bytes32 gateway) {
        Duty[] storage duties = dutiesOf[device];
        for (uint256 i; i < duties.length; ++i) {
            if (duties[i].since > time) break;
            bool over = duties[i].until != 0 && time >= duties[i].until;
            gateway = over ? bytes32(0) : duties[i].gateway;
        }
    }
}
