// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsents} from "../../contracts/interfaces/IConsents.sol";
import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {IRailEvents} from "../../contracts/interfaces/IRailEvents.sol";
import {Products} from "./Products.sol";

/// @title Calls that begin, fund and end agreements: by those who may, and by those who may not.
abstract contract HandlerAgreements is Products {
    bytes32 private constant MANDATE_TYPE = keccak256(
        "Mandate(address payer,address payee,bytes32 device,address product,uint48 cap,"
        "uint16 periodDays,uint32 window,uint32 start,uint32 expiry,uint40 firstCounter,"
        "uint8 requiredDomain,uint48 bond,uint64 schedule,bytes32 fleet,bytes32 cites,"
        "bytes32 salt,bytes terms)"
    );
    bytes32 private constant CONSENT_TYPE =
        keccak256("Consent(bytes32 device,address product,bytes32 agreement,uint256 number)");
    bytes32 private constant SKIP_TYPE =
        keccak256("Skip(bytes32 agreement,uint32 sequence,uint40 lastCounter)");

    mapping(address product => bool) internal listed;

    function open(uint256 seed) external step(seed) {
        _openFunded();
    }

    function openAgain(uint256 seed) external step(seed) {
        _openFunded();
    }

    function openOnceMore(uint256 seed) external step(seed) {
        _openFunded();
    }

    function fund(uint256 seed) external step(seed) {
        uint256 index = _anyPact();
        Pact storage pact = pacts[index];
        if (_once(12)) _jump(_endOf(pact), 3 days);
        uint256 amount = _once(10) ? 0 : (1 + _random(6000)) * CENT;
        bool allowed = amount != 0 && !pact.ended && clock <= _endOf(pact);
        bytes memory data = abi.encodeCall(IPaymentRail.fund, (pact.id, amount));
        if (!_call("PaymentRail.fund", payers[pact.payer].account, address(rail), data, allowed)) {
            return;
        }
        pact.escrow += amount;
    }

    function close(uint256 seed) external step(seed) {
        Pact storage pact = pacts[_anyPact()];
        uint256 who = _random(8); // mostly strangers: an agreement should live for a while
        address owner = owners[devices[pact.device].owner].account;
        address caller = who == 0 ? payers[pact.payer].account : who == 1 ? owner : stranger;
        bytes memory data = abi.encodeCall(IPaymentRail.close, (pact.id));
        bool allowed = !pact.ended && caller != stranger;
        if (!_call("PaymentRail.close", caller, address(rail), data, allowed)) return;
        if (clock < pact.expiry) pact.expiry = clock;
    }

    function reclaim(uint256 seed) external step(seed) {
        Pact storage pact = pacts[_once(2) ? _endedWithEscrow() : _random(pacts.length)];
        if (_once(6)) _jump(_endOf(pact), 10 days);
        bool over = clock > _endOf(pact);
        if (!over && clock > pact.expiry) _hit("state:reclaim asked within the grace");
        if (!over && clock > pact.expiry + pact.grace) _hit("state:reclaim held up by a pause");
        bool allowed = over && (!pact.ended || pact.escrow != 0);
        if (pact.ended && pact.escrow != 0) _hit("state:money came back to an ended agreement");
        uint256 before = _balance(payers[pact.payer].account);
        bytes memory data = abi.encodeCall(IPaymentRail.reclaim, (pact.id));
        if (!_call("PaymentRail.reclaim", stranger, address(rail), data, allowed)) return;
        uint256 got = _balance(payers[pact.payer].account) - before;
        _rule("reclaim returns the whole escrow to the payer", got == pact.escrow);
        (pact.ended, pact.escrow) = (true, 0);
        bytes32 device = devices[pact.device].id;
        if (aloneOf[device] != 0 && pacts[aloneOf[device] - 1].id == pact.id) {
            delete aloneOf[device];
        }
    }

    /// @dev The first agreement to which money came back after its end; else any.
    function _endedWithEscrow() private returns (uint256 index) {
        for (; index < pacts.length; ++index) {
            if (pacts[index].ended && pacts[index].escrow != 0) return index;
        }
        return _random(pacts.length);
    }

    function skip(uint256 seed) external step(seed) {
        uint256 index = _anyPact();
        Pact storage pact = pacts[index];
        if (!_once(3)) return _refuseSkip(pact);
        _skipBy(index, _random(3));
    }

    /// @dev Payer and payee pass over a claim, and so many counters.
    function _skipBy(uint256 index, uint256 counters) internal {
        Pact storage pact = pacts[index];
        uint256 last = pact.lastCounter + counters;
        bool passes = last > pact.lastCounter;
        bytes memory data = _skipCall(pact, pact.sequence + 1, last, payers[pact.payer].key);
        if (!_call("PaymentRail.skip", stranger, address(rail), data, !pact.ended)) return;
        (pact.sequence, pact.lastCounter) = (pact.sequence + 1, last);
        if (passes) _skipped(index);
        bytes32 payment = keccak256(abi.encode(pact.id, pact.sequence));
        _rule("a payment is settled or skipped once", !applied[payment]);
        applied[payment] = true;
    }

    function revokeConsents(uint256 seed) external step(seed) {
        Device storage device = devices[_random(devices.length)];
        bool owns = _once(3);
        address caller = owns ? owners[device.owner].account : stranger;
        bytes memory data = abi.encodeCall(IConsents.revokeConsents, (device.id));
        if (_call("Consents.revokeConsents", caller, address(consents), data, owns)) {
            ++device.consents;
        }
    }

    /// @dev Mostly of a device that serves none, and with some money at once.
    function _openFunded() private {
        uint256 index = _random(devices.length);
        for (uint256 i; i < 6 && !_once(6) && !_serves(devices[index]); ++i) {
            index = _random(devices.length);
        }
        uint256 count = pacts.length;
        _open(index);
        if (pacts.length != count && !_once(4)) _fundLive(count);
    }

    /// @dev Puts up to 60 euro into a live agreement.
    function _fundLive(uint256 index) internal {
        Pact storage pact = pacts[index];
        uint256 amount = 1 + _random(60 * EURO);
        address payer = payers[pact.payer].account;
        bytes memory data = abi.encodeCall(IPaymentRail.fund, (pact.id, amount));
        bool allowed = _balance(payer) >= amount;
        if (_call("PaymentRail.fund", payer, address(rail), data, allowed)) pact.escrow += amount;
    }

    /// @dev Whether a device works, and could serve one more agreement.
    function _serves(Device storage device) internal view returns (bool) {
        if (!_isActive(device, clock)) return false;
        if (_isShared(device.kind) || aloneOf[device.id] == 0) return true;
        return clock > pacts[aloneOf[device.id] - 1].expiry;
    }

    /// @dev Opens an agreement about a device, mostly as the rules want it.
    function _open(uint256 deviceIndex) internal {
        Device storage device = devices[deviceIndex];
        if (pacts.length == MOST_PACTS) return;
        uint8 payer = uint8(_random(payers.length));
        IRailEvents.Mandate memory mandate = _mandate(device, payer);
        bytes32 id = _hashOf(mandate);
        uint256 fault = _once(6) ? 1 + _random(3) : 0;
        bytes32 domain = _separator("proofrail", "2", address(rail));
        uint256 signer = fault == 1 ? payees[0].key : payers[payer].key;
        bytes memory consent = _consent(device, mandate.product, id, fault);
        if (fault == 3) mandate.cap += 1; // not what was signed
        bool allowed = fault == 0 && !_paused() && listed[mandate.product]
            && _isActive(device, clock) && _isFree(device, mandate);
        bool sound = _termsSound(device.kind);
        if (allowed && !sound) _hit("state:fleet refused for its terms alone");
        bytes memory data =
            abi.encodeCall(IPaymentRail.open, (mandate, _signed(signer, domain, id), consent));
        if (!_call("PaymentRail.open", stranger, address(rail), data, allowed && sound)) return;
        _rule("no agreement opens during a pause", !_paused());
        _keep(id, deviceIndex, payer, mandate);
    }

    function _keep(bytes32 id, uint256 deviceIndex, uint8 payer, IRailEvents.Mandate memory mandate)
        private
    {
        Device storage device = devices[deviceIndex];
        Pact storage pact = pacts.push();
        (pact.id, pact.kind, pact.payer, pact.device) = (id, device.kind, payer, deviceIndex);
        (pact.payee, pact.cap, pact.bond) = (mandate.payee, mandate.cap, mandate.bond);
        (pact.periodDays, pact.window) = (mandate.periodDays, mandate.window);
        pact.start = mandate.start == 0 ? clock : mandate.start;
        (pact.expiry, pact.openedAt) = (mandate.expiry, clock);
        (pact.firstCounter, pact.lastCounter) = (mandate.firstCounter, mandate.firstCounter);
        pact.domain = mandate.requiredDomain;
        pact.grace = device.kind == Kind.Wearable ? MAX_AGE : 1 days;
        if (_reports(device.kind)) pact.grace = REPORT_GRACE;
        if (pact.window > pact.grace) pact.grace = pact.window;
        pact.period = _periodNow(pact);
        bool watched = device.kind == Kind.Meter || device.kind == Kind.Fleet;
        if (watched && _isSteady(device)) {
            pact.steady = _steadySince(device) <= pact.start;
        }
        if (!_isShared(device.kind)) {
            if (aloneOf[device.id] != 0) _endSteadiness(pacts[aloneOf[device.id] - 1]);
            aloneOf[device.id] = pacts.length;
        }
        _opened(pacts.length - 1, mandate.terms);
    }

    function _mandate(Device storage device, uint8 payer)
        private
        returns (IRailEvents.Mandate memory mandate)
    {
        mandate.payer = payers[payer].account;
        // half of all payments go to one payee and share their window, so that some share both
        Person memory payee = _once(2) ? payees[0] : _anyPayee();
        if (device.kind != Kind.Wearable) mandate.payee = payee.account;
        mandate.device = device.id;
        mandate.product = _productOf(device.kind);
        mandate.cap = uint48((1 + _random(_once(2) ? 30 : 200)) * EURO);
        mandate.periodDays = [uint16(0), 1, 7, 30][_random(4)];
        mandate.window = [uint32(0), 1 days, 3 days, 10 days][_once(2) ? 2 : _random(4)];
        if (_once(3)) mandate.start = uint32(clock - _random(2 days));
        mandate.expiry = uint32(clock + 1 days + _random(_once(2) ? 20 days : 100 days));
        mandate.firstCounter = uint40(_random(100));
        if (_once(3)) mandate.requiredDomain = uint8(1 + _random(DOMAINS));
        mandate.bond = uint48((1 + _random(200)) * CENT);
        mandate.salt = _word();
        mandate.terms = _terms(device);
        if (_once(2)) _standardize(device, mandate);
    }

    /// @dev What many agreements have in common, so that their claims share a group.
    function _standardize(Device storage device, IRailEvents.Mandate memory mandate) private view {
        if (device.kind != Kind.Wearable) mandate.payee = payees[0].account;
        (mandate.cap, mandate.periodDays, mandate.window) = (uint48(20 * EURO), 1, 3 days);
        mandate.requiredDomain = 0;
    }

    /// @dev A device that is not shared serves one agreement at a time.
    function _isFree(Device storage device, IRailEvents.Mandate memory mandate)
        private
        view
        returns (bool)
    {
        if (_isShared(device.kind) || aloneOf[device.id] == 0) return true;
        uint256 expiry = pacts[aloneOf[device.id] - 1].expiry;
        uint256 start = mandate.start == 0 ? clock : mandate.start;
        return clock > expiry && start > expiry;
    }

    function _consent(Device storage device, address product, bytes32 id, uint256 fault)
        private
        view
        returns (bytes memory)
    {
        bytes32 asked = keccak256(
            abi.encode(
                CONSENT_TYPE,
                device.id,
                product,
                _isShared(device.kind) ? bytes32(0) : id,
                fault == 2 ? device.consents + 1 : device.consents
            )
        );
        bytes32 domain = _separator("proofrail", "2", address(rail));
        return _signed(owners[device.owner].key, domain, asked);
    }

    function _refuseSkip(Pact storage pact) private {
        uint256 fault = _random(3);
        uint256 sequence = pact.sequence + (fault == 0 ? 2 : 1);
        uint256 last = pact.lastCounter;
        if (fault == 1 && last != 0) --last;
        else if (fault == 1) sequence = pact.sequence;
        uint256 signer = fault == 2 ? payees[0].key : payers[pact.payer].key;
        bytes memory data = _skipCall(pact, sequence, last, signer);
        _call("PaymentRail.skip", stranger, address(rail), data, false);
    }

    function _skipCall(Pact storage pact, uint256 sequence, uint256 last, uint256 payerKey)
        private
        view
        returns (bytes memory)
    {
        bytes32 asked = keccak256(abi.encode(SKIP_TYPE, pact.id, sequence, last));
        bytes32 domain = _separator("proofrail", "2", address(rail));
        uint256 other = owners[devices[pact.device].owner].key;
        for (uint256 i; i < payees.length; ++i) {
            if (payees[i].account == pact.payee) other = payees[i].key;
        }
        return abi.encodeCall(
            IPaymentRail.skip,
            (
                pact.id,
                uint32(sequence),
                uint40(last),
                _signed(payerKey, domain, asked),
                _signed(other, domain, asked)
            )
        );
    }

    /// @dev Word by word after the standard (EIP-712), not with the contracts' library.
    function _hashOf(IRailEvents.Mandate memory mandate) private pure returns (bytes32) {
        bytes memory encoded = abi.encode(mandate); // offset, 16 words, offset of the terms, terms
        bytes memory words = new bytes(18 * 32);
        bytes32 terms = keccak256(mandate.terms);
        assembly ("memory-safe") {
            mcopy(add(words, 64), add(encoded, 64), mul(16, 32))
            mstore(add(words, 576), terms)
        }
        bytes32 kind = MANDATE_TYPE;
        assembly ("memory-safe") {
            mstore(add(words, 32), kind)
        }
        return keccak256(words);
    }
}
