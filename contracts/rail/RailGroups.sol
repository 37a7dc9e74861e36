// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Claims} from "../libraries/Claims.sol";
import {Lists} from "../libraries/Lists.sol";
import {Row, Rows} from "../libraries/Rows.sol";
import {RailDebts} from "./RailDebts.sol";

/// @title The groups of a batch: what its agreements have in common, as a settlement needs it.
/// @notice What a caller names here is not believed: it is the key of the rows, and under other
/// terms there are none.
abstract contract RailGroups is RailDebts {
    using Lists for bytes32[];

    /// A group of a batch.
    struct GroupRun {
        uint256 rows; // slot of the mapping of its rows
        uint256 cap; // as far as a row can count
        uint256 period; // number of the present one
        bool missing; // nobody signed from the domain that it requires
        uint256 sum; // what its payee gets
        Outcome paid; // of each of its charges
    }

    /// @dev The groups that a call names, and of each what its product answered at the opening.
    function _groups(Batch calldata batch, uint256 domains)
        internal
        view
        returns (GroupRun[] memory groups, bytes32[] memory shared)
    {
        (address product, Group[] calldata named) = (batch.product, batch.groups);
        (groups, shared) = (new GroupRun[](named.length), new bytes32[](named.length));
        for (uint256 i; i < named.length; ++i) {
            Group calldata group = named[i];
            GroupRun memory into = groups[i];
            (uint256 wanted, uint256 cap) = (group.requiredDomain, group.cap);
            into.rows = _slotOf(_rows[Claims.groupOf(product, group)]);
            into.cap = cap < Rows.MOST_MONEY ? cap : Rows.MOST_MONEY;
            into.period = _periodNow(group.periodDays);
            into.missing = wanted != 0 && (domains >> wanted) & 1 == 0;
            into.paid.payee = group.payee;
            into.paid.releaseAt = _releaseAt(group.window);
            shared.put(i, bytes32(group.shared));
        }
    }

    /// @dev Whether the groups of these charges share what they wait in.
    function _together(Outcome memory a, Outcome memory b) internal pure returns (bool) {
        return a.payee == b.payee && a.releaseAt == b.releaseAt;
    }

    /// @dev A group's rows, by the slot of their mapping: its key is hashed once for all its claims.
    function _rowsAt(uint256 slot) internal pure returns (mapping(bytes32 => Row) storage rows) {
        assembly ("memory-safe") {
            rows.slot := slot
        }
    }

    function _slotOf(mapping(bytes32 => Row) storage rows) private pure returns (uint256 slot) {
        assembly ("memory-safe") {
            slot := rows.slot
        }
    }

    /// @dev The end of the window, rounded up to a multiple of a quarter of it: settlements of that
    /// time share a release, and its slot.
    function _releaseAt(uint256 window) private view returns (uint32) {
        unchecked { // seconds: 33 bits each
            uint256 end = block.timestamp + window;
            uint256 quarter = window / 4;
            if (quarter > 1) end = (end + quarter - 1) / quarter * quarter;
            return uint32(end);
        }
    }
}
