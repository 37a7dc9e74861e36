// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Products} from "./Products.sol";

/// @title Deliveries: statements of a recipient, and withdrawals of them.
/// @notice What is owed is computed from all statements that stand, each time from the beginning.
abstract contract DeliveryFacts is Products {
    uint256 private constant QUANTITY = 10;
    uint256 private constant PICKED_UP = 2_000; // basis points of the price
    uint256 private constant DELIVERED = 5_000;
    uint256 private constant ACCEPTED = 3_000;
    uint256 private constant LATE_PER_HOUR = 100;
    uint256 private constant LATE_MOST = 3_000;

    struct Parcel {
        uint256 price;
        uint256 dueAt;
        uint256 deadline;
        uint256 charged; // by the product: corrections and refunds included
        uint256 refunded;
    }

    mapping(uint256 pact => Parcel) internal parcelOf;
    mapping(uint256 pact => Statement[]) internal statementsOf;
    mapping(bytes32 digest => bool) internal digestUsed;
    bytes internal lastDelivery; // the facts of a delivery that was settled

    function _deliveryTerms() internal returns (bytes memory) {
        uint256 dueAt = clock + _random(4 days);
        uint256 price = 2 * EURO + _random(40 * EURO);
        uint256[4] memory parts = [uint256(1), 2, 0, price];
        bytes memory shares = abi.encode(QUANTITY, PICKED_UP, DELIVERED, ACCEPTED, dueAt);
        bytes memory bounds = abi.encode(dueAt + 10 days, LATE_PER_HOUR, LATE_MOST);
        uint256[6] memory conditions; // none are agreed
        return bytes.concat(abi.encode(parts), shares, bounds, abi.encode(conditions));
    }

    function _openParcel(uint256 pact, bytes memory terms) internal {
        (,,, uint256 price,,,,, uint256 dueAt, uint256 deadline) = abi.decode(
            terms,
            (
                uint256,
                uint256,
                uint256,
                uint256,
                uint256,
                uint256,
                uint256,
                uint256,
                uint256,
                uint256
            )
        );
        parcelOf[pact] = Parcel(price, dueAt, deadline, 0, 0);
    }

    /// @dev Plans a statement, or a withdrawal of one that stands, that is signed at `until`.
    function _planDelivery(Plan memory plan, uint256 until) internal {
        Statement[] storage list = statementsOf[plan.pact];
        Statement memory statement;
        if (list.length != 0 && _once(3)) {
            plan.number = _random(list.length);
            statement = list[plan.number];
            statement.withdraws = true;
        } else {
            statement.name = _word();
            statement.time = until;
            if (_once(2)) statement.pickedUpAt = until;
            if (!_once(3)) statement.received = _random(QUANTITY + 1);
            if (!_once(3)) statement.accepted = _random(QUANTITY + 1);
        }
        plan.statement = statement;
        plan.refusal = _delivery(plan, statement, until);
    }

    /// @dev What the standing statements are worth after the plan's, less what was charged.
    function _priceDelivery(Plan memory plan, uint256 until) internal returns (int256 amount) {
        Parcel storage parcel = parcelOf[plan.pact];
        amount = int256(_worth(plan)) - int256(parcel.charged);
        if (until > parcel.deadline && amount > 0) {
            _hit("state:milestone after the deadline");
            return 0;
        }
    }

    function _applyDelivery(Plan memory plan) internal returns (int256 amount) {
        Parcel storage parcel = parcelOf[plan.pact];
        amount = plan.amount;
        parcel.charged = uint256(int256(parcel.charged) + amount);
        Statement memory statement = plan.statement;
        if (statement.withdraws) {
            _hit("state:statement withdrawn");
            statementsOf[plan.pact][plan.number].stands = false;
        } else {
            statement.stands = true;
            statementsOf[plan.pact].push(statement);
        }
        digestUsed[_digestOf(plan.facts)] = true;
        lastDelivery = plan.facts;
        if (amount >= 0) return amount;
        uint256 offset = uint256(-amount) < parcel.refunded ? uint256(-amount) : parcel.refunded;
        if (offset != 0) _hit("state:correction of a refunded charge");
        parcel.refunded -= offset;
        amount += int256(offset);
    }

    function _digestOf(bytes memory facts) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            digest := mload(add(facts, 416)) // word 12
        }
    }

    /// @dev Writes and signs the facts, and says how the product refuses them.
    function _delivery(Plan memory plan, Statement memory statement, uint256 until)
        private
        returns (uint8 refusal)
    {
        Device storage device = devices[pacts[plan.pact].device];
        bool forged = _once(20);
        uint256 receivedAt = statement.received == 0 ? 0 : statement.time;
        uint256 acceptedAt = statement.accepted == 0 ? 0 : statement.time;
        uint256[7] memory head; // the last four: nothing is sensed
        (head[0], head[1], head[2]) = (statement.pickedUpAt, receivedAt, acceptedAt);
        plan.facts = bytes.concat(
            abi.encode(statement.withdraws, statement.received, statement.accepted),
            abi.encode(head),
            _signature(device, forged, until, statement.name)
        );
        uint256 last = receivedAt > acceptedAt ? receivedAt : acceptedAt;
        if (until < pacts[plan.pact].start) return 108; // signed before the agreement's start
        if (last > parcelOf[plan.pact].deadline) return 104;
        if (!_isActive(device, until)) return 105;
        return forged ? 107 : 0;
    }

    function _signature(Device storage device, bool forged, uint256 until, bytes32 name)
        private
        returns (bytes memory)
    {
        bytes32 digest = _word();
        uint256 key = _keyAt(device, until);
        (bytes32 r, bytes32 s) = vm.signP256(forged || key == 0 ? 7 : key, digest);
        return abi.encode(until, name, digest, r, s);
    }

    function _worth(Plan memory plan) private view returns (uint256) {
        Parcel storage parcel = parcelOf[plan.pact];
        Statement[] storage list = statementsOf[plan.pact];
        (uint256 received, uint256 accepted, uint256 late, bool pickedUp) = (0, 0, 0, false);
        for (uint256 i; i <= list.length; ++i) {
            Statement memory statement = plan.statement;
            if (i < list.length) statement = list[i];
            if (i < list.length && (!statement.stands || _withdrawn(plan, i))) continue;
            if (i == list.length && statement.withdraws) continue;
            received += statement.received;
            accepted += statement.accepted;
            late += statement.received * _lateness(parcel, statement.time);
            pickedUp = pickedUp || statement.pickedUpAt != 0;
        }
        if (received > QUANTITY) received = QUANTITY;
        if (accepted > received) accepted = received;
        uint256 earned = received * DELIVERED + accepted * ACCEPTED;
        if (pickedUp) earned += QUANTITY * PICKED_UP;
        if (late > received * LATE_MOST) late = received * LATE_MOST;
        return late >= earned ? 0 : parcel.price * (earned - late) / (QUANTITY * 10_000);
    }

    function _withdrawn(Plan memory plan, uint256 index) private pure returns (bool) {
        return plan.statement.withdraws && index == plan.number;
    }

    function _lateness(Parcel storage parcel, uint256 time) private view returns (uint256 share) {
        if (time <= parcel.dueAt) return 0;
        share = (time - parcel.dueAt + 1 hours - 1) / 1 hours * LATE_PER_HOUR;
        if (share > LATE_MOST) share = LATE_MOST;
    }
}
