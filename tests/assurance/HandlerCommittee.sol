// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOfficerRegistry} from "../../contracts/interfaces/IOfficerRegistry.sol";
import {IOracleCommittee} from "../../contracts/interfaces/IOracleCommittee.sol";
import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {HandlerAdoption} from "./HandlerAdoption.sol";

/// @title Oracles and officers: seated, unseated, silenced, and barred for contradictions.
abstract contract HandlerCommittee is HandlerAdoption {
    uint256 private constant LEAST_SEATED = 3;
    uint256 private constant FRESH = 6;

    mapping(address person => bool) internal officerOf;
    uint256 internal officerCount;

    function seat(uint256 seed) external step(seed) {
        uint256 oracle = _random(oracles.length);
        (uint256 able,) = _ableCount(0);
        // a committee that shrank gets members that can sign
        for (uint256 i; i < oracles.length && able < 6; ++i) {
            if (!_able(oracle) && !seatOf[oracle].barred) break;
            oracle = (oracle + 1) % oracles.length;
        }
        _seat(oracle);
    }

    function _seat(uint256 oracle) private {
        Seat storage seat_ = seatOf[oracle];
        if (seat_.barred) _hit("state:barred member to be seated");
        bytes memory data =
            abi.encodeCall(IOracleCommittee.seat, (oracles[oracle].account, _domainOf(oracle)));
        bool allowed = !seat_.barred && !_able(oracle);
        if (!_call("OracleCommittee.seat", address(this), address(committee), data, allowed)) {
            return;
        }
        _seatGhost(oracle);
    }

    function unseat(uint256 seed) external step(seed) {
        uint256 oracle = _random(oracles.length);
        for (uint256 i; i < oracles.length && (!seatOf[oracle].seated || _able(oracle)); ++i) {
            oracle = (oracle + 1) % oracles.length;
        }
        if (
            seatOf[oracle].seated
                && (_seatedCount() <= LEAST_SEATED || (_able(oracle) && !_once(3)))
        ) {
            return;
        }
        _unseat(oracle);
    }

    function _unseat(uint256 oracle) private {
        bytes memory data = abi.encodeCall(IOracleCommittee.unseat, (oracles[oracle].account));
        bool allowed = seatOf[oracle].seated;
        if (!_call("OracleCommittee.unseat", address(this), address(committee), data, allowed)) {
            return;
        }
        seatOf[oracle].seated = false;
        _hit("state:member unseated");
    }

    /// @dev Others take most seats: two of those that attested so far stay, too few to be needed.
    function renewCommittee(uint256 seed) external step(seed) {
        if (!_once(3)) return;
        uint256 from = _random(oracles.length);
        uint256[] memory fresh = new uint256[](FRESH);
        (uint256 count, uint256 domains) = (0, 0);
        for (uint256 i; i < oracles.length && count < FRESH; ++i) {
            uint256 oracle = (from + i) % oracles.length;
            if (seatOf[oracle].barred || _able(oracle)) continue;
            fresh[count++] = oracle;
            domains |= 1 << _domainOf(oracle);
        }
        if (count < FRESH || _bits(domains) < DOMAINS) return;
        uint256 stay = FRESH / 3;
        for (uint256 i; i < oracles.length; ++i) {
            uint256 oracle = (from + i) % oracles.length;
            if (!seatOf[oracle].seated || (_able(oracle) && stay != 0 && stay-- != 0)) continue;
            _unseat(oracle);
        }
        for (uint256 i; i < FRESH; ++i) {
            _seat(fresh[i]);
        }
        _hit("state:committee renewed");
    }

    function silence(uint256 seed) external step(seed) {
        uint256 oracle = _random(oracles.length);
        Seat storage seat_ = seatOf[oracle];
        (uint256 left, uint256 domains) =
            _ableCount(seat_.known ? uint216(1) << seat_.index : uint216(0));
        bool few = left < _quorum() || _bits(domains) < MIN_DOMAINS;
        if (few && _able(oracle)) _hit("state:silence would stop the committee");
        address caller = _once(8) ? steward : guardian;
        bool allowed = caller == guardian && _able(oracle) && !few;
        bytes memory data = abi.encodeCall(IOracleCommittee.silence, (oracles[oracle].account));
        if (!_call("OracleCommittee.silence", caller, address(committee), data, allowed)) return;
        seat_.silenced = true;
        _hit("state:member silenced");
    }

    /// @dev An oracle that signs two claims of one sequence; or two batches that do not contradict.
    function reportEquivocation(uint256 seed) external step(seed) {
        if (!_once(3)) return;
        uint256 oracle = _random(oracles.length);
        bool guilty = _once(3);
        bytes32 agreement = pacts[0].id;
        IOracleCommittee.Testimony memory a = _testimony(oracle, agreement, 1, 1);
        IOracleCommittee.Testimony memory b = _testimony(oracle, agreement, 1, guilty ? 2 : 1);
        if (!guilty && _once(2)) b = _testimony(oracle, agreement, 2, 2);
        bytes memory data =
            abi.encodeCall(IOracleCommittee.reportEquivocation, (address(rail), a, b));
        _bar("OracleCommittee.reportEquivocation", oracle, data, guilty);
    }

    function reportRulings(uint256 seed) external step(seed) {
        if (!_once(3)) return;
        uint256 oracle = _random(oracles.length);
        bool guilty = _once(3);
        bytes32 payment = _word();
        bytes32 domain = _separator("proofrail-oracles", "2", address(committee));
        uint256 key = oracles[oracle].key;
        bytes memory refund = _signed(key, domain, _ruling(payment, true));
        bytes32 other = guilty ? payment : _word();
        bytes memory stand = _signed(key, domain, _ruling(other, false));
        bytes memory data =
            abi.encodeCall(IOracleCommittee.reportRulings, (address(rail), payment, refund, stand));
        _bar("OracleCommittee.reportRulings", oracle, data, guilty);
    }

    function officer(uint256 seed) external step(seed) {
        Person memory person = owners[_random(owners.length)];
        uint256 what = _random(3);
        bool seated = officerOf[person.account];
        if (what == 0) {
            bytes memory data = abi.encodeCall(IOfficerRegistry.seat, (person.account));
            if (!_call("OfficerRegistry.seat", address(this), address(officers), data, !seated)) {
                return;
            }
        } else if (what == 1) {
            bytes memory data = abi.encodeCall(IOfficerRegistry.unseat, (person.account));
            if (!_call("OfficerRegistry.unseat", address(this), address(officers), data, seated)) {
                return;
            }
        } else {
            address caller = _once(5) ? steward : guardian;
            bytes memory data = abi.encodeCall(IOfficerRegistry.silence, (person.account));
            bool allowed = seated && caller == guardian;
            if (!_call("OfficerRegistry.silence", caller, address(officers), data, allowed)) {
                return;
            }
        }
        officerOf[person.account] = what == 0;
        what == 0 ? ++officerCount : --officerCount;
    }

    function _bar(string memory name, uint256 oracle, bytes memory data, bool guilty) private {
        Seat storage seat_ = seatOf[oracle];
        bool allowed = guilty && seat_.known && !seat_.barred;
        if (!_call(name, stranger, address(committee), data, allowed)) return;
        _rule("only contradictions bar a member", guilty);
        seat_.barred = true;
        _hit("state:member barred");
        if (!seat_.seated) _hit("state:former member barred");
    }

    function _testimony(uint256 oracle, bytes32 agreement, uint32 sequence, uint40 counter)
        private
        view
        returns (IOracleCommittee.Testimony memory testimony)
    {
        testimony.claim = IPaymentRail.Claim(agreement, sequence, counter, counter, 0, "facts");
        testimony.product = address(energy);
        testimony.claimHashes = new bytes32[](1);
        testimony.claimHashes[0] = _claimHash(testimony.claim);
        testimony.signature = _signed(
            oracles[oracle].key,
            _separator("proofrail-oracles", "2", address(committee)),
            _attestation(address(energy), testimony.claimHashes)
        );
    }
}
