// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {IMeterStates} from "./IMeterStates.sol";
import {Quorums} from "./Quorums.sol";

/// @title What is sent to `settle`: claims in bytes, and the groups that they name.
abstract contract Batches is Quorums {
    /// @dev The batch, and whether it is what it should be: at times it is not.
    function _sent(Kind kind, uint256[] memory pactsOf, IPaymentRail.Claim[] memory claims)
        internal
        returns (IPaymentRail.Batch memory batch, bool sound)
    {
        batch.product = _productOf(kind);
        uint256[] memory numbers;
        (batch.groups, numbers) = _groups(pactsOf);
        uint256 fault = _once(24) ? 1 + _random(3) : 0;
        uint256 some = _random(claims.length);
        if (fault == 1) numbers[some] = batch.groups.length;
        if (fault == 2) ++batch.groups[numbers[some]].cap;
        if (fault == 1 || fault == 2) _hit("state:claim under a wrong group");
        for (uint256 i; i < claims.length; ++i) {
            batch.claims = bytes.concat(batch.claims, _bytesOf(claims[i], uint16(numbers[i])));
        }
        if (fault == 3) _cut(batch.claims);
        sound = fault == 0;
    }

    /// @dev Each group once; at times once for each of its agreements.
    function _groups(uint256[] memory pactsOf)
        private
        returns (IPaymentRail.Group[] memory groups, uint256[] memory numbers)
    {
        numbers = new uint256[](pactsOf.length);
        groups = new IPaymentRail.Group[](pactsOf.length);
        bool often = _once(6);
        uint256 count;
        for (uint256 i; i < pactsOf.length; ++i) {
            groups[count] = _groupOf(pactsOf[i]);
            uint256 number = often ? count : 0;
            while (!_same(groups[number], groups[count])) ++number;
            numbers[i] = number;
            if (number == count) ++count;
            else _hit("state:batch with claims of one group");
        }
        if (count > 1) _hit("state:batch of several groups");
        assembly ("memory-safe") {
            mstore(groups, count)
        }
    }

    /// @dev From what was agreed; what the product keeps in common only the product knows.
    function _groupOf(uint256 index) private view returns (IPaymentRail.Group memory group) {
        Pact storage pact = pacts[index];
        (group.payee, group.cap) = (pact.payee, uint48(pact.cap));
        (group.periodDays, group.window) = (uint16(pact.periodDays), uint32(pact.window));
        group.requiredDomain = pact.domain;
        if (_reports(pact.kind)) group.shared = uint256(policyOf[index].shared);
        if (pact.kind == Kind.Fleet) group.shared = _fleetShared(index);
        if (pact.kind != Kind.Meter) return group;
        (,, uint176 terms) = IMeterStates(address(energy)).beginOf(pact.id);
        group.shared = uint256(terms) << 80;
    }

    function _same(IPaymentRail.Group memory a, IPaymentRail.Group memory b)
        private
        pure
        returns (bool)
    {
        return keccak256(abi.encode(a)) == keccak256(abi.encode(b));
    }

    function _bytesOf(IPaymentRail.Claim memory claim, uint16 group)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(
            claim.agreement,
            claim.evidence,
            group,
            claim.sequence,
            claim.firstCounter,
            claim.lastCounter,
            uint16(claim.facts.length),
            claim.facts
        );
    }

    /// @dev Without their last byte.
    function _cut(bytes memory claims) private {
        assembly ("memory-safe") {
            mstore(claims, sub(mload(claims), 1))
        }
        _hit("state:batch cut off");
    }
}
