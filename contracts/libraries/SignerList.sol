// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";

/// @title Who can sign, kept as the code of a contract: one cold read, however many members.
/// @notice Code costs 2,600 gas to read as a whole and 3 a member; storage would cost 2,100 for each
/// member. Code never changes: another list is another contract.
/// One word a member, in ascending order of addresses: address (160 bits), domain (8), index (8).
/// The code begins with the highest byte of a word, which is 0: STOP. So a call of it does nothing.
library SignerList {
    /// Init code that returns all that follows it: PUSH1 11, MSIZE, DUP2, CODESIZE, SUB, DUP1,
    /// SWAP3, MSIZE, CODECOPY, RETURN.
    bytes11 private constant RETURN_THE_REST = 0x600b5981380380925939f3;

    /// @dev The word of a member; never 0, as the zero address has no seat.
    function entryOf(address member, uint8 domain, uint8 index) internal pure returns (uint256) {
        return uint256(uint160(member)) << 16 | uint256(domain) << 8 | index;
    }

    /// @dev The bit of an entry's trust domain among trust domains.
    function domainBit(uint256 entry) internal pure returns (uint256) {
        return 1 << uint8(entry >> 8);
    }

    /// @dev The bit of an entry's member among `signers`.
    function memberBit(uint256 entry) internal pure returns (uint256) {
        return 1 << uint8(entry);
    }

    /// @dev Puts an entry in its place among the first `count`, which ascend. The array is longer.
    function insert(uint256[] memory entries, uint256 count, uint256 entry) internal pure {
        unchecked { // down to 0
            for (; count != 0 && _at(entries, count - 1) > entry; --count) {
                _put(entries, count, _at(entries, count - 1));
            }
        }
        _put(entries, count, entry);
    }

    /// @dev Makes a contract of the first `count` entries, which ascend.
    function write(uint256[] memory entries, uint256 count) internal returns (address list) {
        _shorten(entries, count);
        bytes memory initCode = abi.encodePacked(RETURN_THE_REST, entries);
        assembly ("memory-safe") {
            list := create(0, add(initCode, 32), mload(initCode))
        }
        if (list == address(0)) revert Errors.FailedDeployment();
    }

    /// @dev The entries of a list that `write` made.
    function read(address list) internal view returns (uint256[] memory entries) {
        assembly ("memory-safe") {
            let size := extcodesize(list)
            entries := mload(0x40)
            mstore(0x40, add(add(entries, 32), size))
            mstore(entries, div(size, 32))
            extcodecopy(list, add(entries, 32), 0, size)
        }
    }

    /// @dev The entries but those of the members whose bits are in `excluded`.
    function without(uint256[] memory entries, uint256 excluded)
        internal
        pure
        returns (uint256[] memory left)
    {
        left = new uint256[](entries.length);
        uint256 count;
        for (uint256 i; i < entries.length; ++i) {
            if (memberBit(entries[i]) & excluded == 0) left[count++] = entries[i];
        }
        _shorten(left, count);
    }

    /// @dev The trust domains of all entries: bit n for domain n.
    function domainsOf(uint256[] memory entries) internal pure returns (uint256 domains) {
        for (uint256 i; i < entries.length; ++i) {
            domains |= domainBit(entries[i]);
        }
    }

    /// @dev The entry of a member, 0 where it has none, and where the search for the next begins.
    /// A search goes from `start` to the end, then over what is before `start`. Where signers come
    /// in ascending order, all searches together go through the list once.
    function find(uint256[] memory entries, uint256 member, uint256 start)
        internal
        pure
        returns (uint256 entry, uint256 next)
    {
        uint256 end = entries.length;
        unchecked { // no more than `end`
            for (next = start; next < end;) {
                entry = _at(entries, next++);
                if (entry >> 16 == member) return (entry, next);
            }
            for (next = 0; next < start;) {
                entry = _at(entries, next++);
                if (entry >> 16 == member) return (entry, next);
            }
        }
        return (0, start);
    }

    /// @dev An entry; `position` is below the length, which is not checked again.
    function _at(uint256[] memory entries, uint256 position) private pure returns (uint256 entry) {
        assembly ("memory-safe") {
            entry := mload(add(add(entries, 32), mul(position, 32)))
        }
    }

    /// @dev Writes an entry; `position` is below the length, which is not checked again.
    function _put(uint256[] memory entries, uint256 position, uint256 entry) private pure {
        assembly ("memory-safe") {
            mstore(add(add(entries, 32), mul(position, 32)), entry)
        }
    }

    /// @dev Leaves the first `count` entries.
    function _shorten(uint256[] memory entries, uint256 count) private pure {
        assembly ("memory-safe") {
            mstore(entries, count)
        }
    }
}
