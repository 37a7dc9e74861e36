// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IChallenges} from "../../contracts/interfaces/IChallenges.sol";
import {IOracleCommittee} from "../../contracts/interfaces/IOracleCommittee.sol";
import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {HandlerDisputes} from "./HandlerDisputes.sol";
import {OcmfText} from "./OcmfText.sol";
import {Trees} from "./Trees.sol";

/// @title Challenges of payments whose record the device did not sign, and of those it did.
abstract contract HandlerChallenges is HandlerDisputes {
    using Trees for bytes32[];

    uint256 private constant AHEAD = 25 hours; // within it a key that changed needs a ruling
    uint256 private constant SPARE = 9; // oracles that must be left before a record is forged
    uint256 private constant BARRING_TIME = 30 days; // after the window, where a dispute has ended

    /// A record that a claim rests on.
    struct Evidence {
        bytes record;
        uint256 time;
        bool forged;
    }

    mapping(bytes32 evidence => Evidence) private _evidenceOf;
    mapping(uint256 paid => IPaymentRail.Claim) private _claimOf;
    mapping(uint256 device => uint256) internal assignments; // of gateways
    bool internal challengesSet;

    function challenge(uint256 seed) external step(seed) {
        _challenge();
    }

    function challengeAgain(uint256 seed) external step(seed) {
        _challenge();
    }

    function setChallenges(uint256 seed) external step(seed) {
        bool stops = _once(4);
        address caller = _once(6) ? stranger : stops ? guardian : address(this);
        bytes memory data = stops
            ? abi.encodeCall(IOracleCommittee.stopChallenges, (address(rail)))
            : abi.encodeCall(IOracleCommittee.setChallenges, (address(rail), address(challenges)));
        string memory name =
            stops ? "OracleCommittee.stopChallenges" : "OracleCommittee.setChallenges";
        if (!_call(name, caller, address(committee), data, caller != stranger)) return;
        challengesSet = !stops;
        if (stops) _hit("state:challenges stopped by the guardian");
    }

    /// @dev Says that the signature of a payment's record is not the device's.
    function _challenge() private {
        if (paids.length == 0) return;
        uint256 index = _random(paids.length);
        for (uint256 i; i < 12 && _claimOf[index].agreement == 0; ++i) {
            index = _random(paids.length);
        }
        if (_once(2)) index = _forgedAndDisputed(index);
        Paid storage paid = paids[index];
        Pact storage pact = pacts[paid.pact];
        if (_claimOf[index].agreement == 0 || assignments[pact.device] != 0) return;
        Evidence storage evidence = _evidenceOf[_claimOf[index].evidence];
        uint256 bond = _least(pact.bond, paid.amount);
        Person memory payer = payers[pact.payer];
        uint256 case_ = _caseOf(index);
        bool inTime = _mayChallenge(paid, case_);
        bool certain = _isCertain(devices[pact.device], evidence.time);
        if (!certain) _hit("state:challenge of a key that changed that day");
        bool allowed = inTime && certain && _balance(payer.account) >= bond
            && (challengesSet || !evidence.forged);
        bytes memory data = abi.encodeCall(IChallenges.challenge, (_proof(index, evidence.record)));
        uint256 before = _balance(payer.account);
        if (!_call("Challenges.challenge", payer.account, address(challenges), data, allowed)) {
            return;
        }
        uint256 cost = evidence.forged ? 0 : bond;
        uint256 back; // of a dispute that ends
        if (evidence.forged && case_ != 0 && cases[case_ - 1].challenger == payer.account) {
            back = cases[case_ - 1].bond;
        }
        _rule(
            "a challenge costs its bond where it is wrong, and nothing where it is right",
            _balance(payer.account) + cost == before + back
        );
        if (!evidence.forged) return _hit("state:challenge lost");
        _uphold(index, case_, payer.account);
    }

    function _forgedAndOpen(uint256 index) internal view override returns (uint256) {
        for (uint256 i = paids.length; i > 0; --i) {
            Paid storage paid = paids[i - 1];
            if (paid.disputed || clock >= paid.releaseAt) continue;
            if (_evidenceOf[_claimOf[i - 1].evidence].forged) return i - 1;
        }
        return index;
    }

    /// @dev The last payment that was disputed and whose fault nobody has proven; else `index`.
    function _forgedAndDisputed(uint256 index) private view returns (uint256) {
        for (uint256 i = paids.length; i > 0; --i) {
            Paid storage paid = paids[i - 1];
            if (!paid.disputed || paid.proven) continue;
            if (_evidenceOf[_claimOf[i - 1].evidence].forged) return i - 1;
        }
        return index;
    }

    /// @dev Whether money is still there, or who attested can still be barred.
    function _mayChallenge(Paid storage paid, uint256 case_) private returns (bool) {
        if (paid.proven) _hit("state:challenge of a payment whose fault is proven");
        if (case_ != 0 || !paid.disputed) return case_ != 0 || clock < paid.releaseAt;
        uint256 end = paid.releaseAt + BARRING_TIME;
        if (_once(6)) _jump(end, 40 days);
        bool inTime = clock < end;
        _hit(inTime ? "state:challenge after a dispute" : "state:challenge long after a dispute");
        return inTime && !paid.proven;
    }

    /// @dev The payment is refunded as by a dispute that ends at once, where none ended before; its
    /// signers are barred.
    function _uphold(uint256 index, uint256 case_, address challenger) private {
        Paid storage paid = paids[index];
        paid.proven = true;
        if (case_ != 0) _hit("state:fault of a disputed payment proven");
        else _hit(paid.disputed ? "state:fault proven after a dispute" : "state:fault proven");
        if (!paid.disputed) {
            paid.disputed = true;
            pendingOf[paid.payee][paid.releaseAt] -= paid.amount;
            cases.push(Case(index, challenger, 0, clock));
            case_ = cases.length;
        }
        if (case_ != 0) _end(case_ - 1, Ending(true, true));
        for (uint256 i; i < oracles.length; ++i) {
            Seat storage seat_ = seatOf[i];
            if (seat_.known && (paid.signers >> seat_.index) & 1 == 1) seat_.barred = true;
        }
    }

    /// @dev Writes a record for a claim of energy; now and then another key signs it.
    function _evidence(Plan memory plan, uint256 time)
        internal
        override
        returns (bytes32 evidence)
    {
        uint256 index = pacts[plan.pact].device;
        if (devices[index].kind != Kind.Meter || _once(2)) return _word();
        string memory text = OcmfText.content(devices[index].name, plan.firstCounter, time);
        uint256 key = _keyAt(devices[index], time);
        bool forged = key != 0 && _spareOracles() > SPARE && _once(8);
        if (key == 0) return _word();
        (bytes32 r, bytes32 s) = vm.signP256(forged ? 7 : key, sha256(bytes(text)));
        bytes memory record = OcmfText.sealed_(text, r, s);
        evidence = keccak256(abi.encode(sha256(record)));
        _evidenceOf[evidence] = Evidence(record, time, forged);
    }

    function _keptPaid(uint256 paid, IPaymentRail.Claim memory claim) internal override {
        if (_evidenceOf[claim.evidence].time != 0) _claimOf[paid] = claim;
    }

    function _spareOracles() private view returns (uint256 count) {
        for (uint256 i; i < oracles.length; ++i) {
            if (!seatOf[i].barred) ++count;
        }
    }

    /// @dev Index + 1 of the open dispute of a payment; 0: none.
    function _caseOf(uint256 paid) private view returns (uint256) {
        for (uint256 i; i < cases.length; ++i) {
            if (cases[i].paid == paid) return i + 1;
        }
        return 0;
    }

    /// @dev Whether every oracle saw the same key, and in the same registry.
    function _isCertain(Device storage device, uint256 time) private returns (bool) {
        if (device.adoptedAt != 0 && device.adoptedAt + AHEAD > time) {
            _hit("state:challenge of a device that was adopted that day");
            return false;
        }
        return device.keys.length == 1 || _keyAt(device, time) == _keyAt(device, time - AHEAD);
    }

    function _proof(uint256 index, bytes memory record)
        private
        view
        returns (IChallenges.Case memory case_)
    {
        Paid storage paid = paids[index];
        case_.fault = IChallenges.Fault.Signature;
        case_.proof.claim = _claimOf[index];
        case_.proof.outcome = _outcomeOf(paid);
        case_.proof.root = paid.root;
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(case_.proof.outcome))));
        case_.proof.path = leavesOf[paid.root].proof(leaf);
        case_.proof.record = record;
    }
}
