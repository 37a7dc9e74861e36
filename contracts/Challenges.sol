// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuardTransient} from
    "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IChallenges} from "./interfaces/IChallenges.sol";
import {IDeviceRegistry} from "./interfaces/IDeviceRegistry.sol";
import {IDisputes} from "./interfaces/IDisputes.sol";
import {IOracleCommittee} from "./interfaces/IOracleCommittee.sol";
import {IPaymentRail} from "./interfaces/IPaymentRail.sol";
import {EnergyClaim} from "./challenge/EnergyClaim.sol";
import {OcmfRecord} from "./challenge/OcmfRecord.sol";
import {OcmfSignature} from "./challenge/OcmfSignature.sol";
import {SealedRecord} from "./challenge/SealedRecord.sol";
import {Claims} from "./libraries/Claims.sol";
import {Merkle} from "./libraries/Merkle.sol";
import {Scratch} from "./libraries/Scratch.sol";

/// @title Challenges: faults of records, proved on chain.
/// @notice IChallenges documents it. The committee names this contract for the rail: it can be replaced
/// by one that reads more, after the steward's delay.
contract Challenges is IChallenges, ReentrancyGuardTransient {
    using Claims for IPaymentRail.Claim;
    using OcmfRecord for OcmfRecord.Record;
    using OcmfSignature for OcmfRecord.Record;
    using SafeERC20 for IERC20;

    struct ProvenFaults {
        bool any;
        uint216 barred; // bitmap over the committee's member indexes, which are never given twice
    }

    /// @notice The most bytes of one record.
    uint256 public constant MOST_RECORD = 4096;
    /// @notice The most bytes of all records of a claim together.
    uint256 public constant MOST_RECORDS = 24_576;
    /// @notice How long after its window a payment whose dispute has ended can still bar who attested
    /// it, in seconds.
    uint256 public constant BARRING_TIME = 30 days;
    uint40 private constant AHEAD = 25 hours; // what a record may be ahead of the oracle that saw it

    /// @notice Whose payments are challenged.
    IPaymentRail public immutable rail;
    /// @notice What bonds are paid in.
    IERC20 public immutable token;
    /// @notice Whose members attested.
    IOracleCommittee public immutable committee;
    /// @notice Whose keys count.
    IDeviceRegistry public immutable registry;
    /// @notice Where payments are refunded.
    IDisputes public immutable disputes;
    mapping(bytes32 payment => ProvenFaults) private _proven;

    constructor(
        IPaymentRail rail_,
        IERC20 token_,
        IOracleCommittee committee_,
        IDeviceRegistry registry_
    ) {
        rail = rail_;
        token = token_;
        committee = committee_;
        registry = registry_;
        disputes = IDisputes(rail_.disputes());
    }

    /// @inheritdoc IChallenges
    function challenge(Case calldata case_) external nonReentrant returns (Reason reason) {
        // resolve, check
        Proof calldata proof = case_.proof;
        IPaymentRail.Outcome calldata outcome = proof.outcome;
        uint48 bond = bondOf(proof.claim.agreement, outcome.amount);
        uint216 barred;
        (reason, barred) = _judge(case_);
        bool won = reason == Reason.Proven;
        bool ended = _disputeEnded(outcome.payment);
        // effect
        if (won) {
            ProvenFaults storage proven = _proven[outcome.payment];
            (proven.any, proven.barred) = (true, proven.barred | barred);
        }
        // event
        if (won) emit FaultProven(outcome.payment, msg.sender, case_.fault, bond, barred);
        else emit ChallengeLost(outcome.payment, msg.sender, case_.fault, bond, reason);
        // interaction
        if (bond != 0) {
            token.safeTransferFrom(msg.sender, address(this), bond);
            token.safeTransfer(won ? msg.sender : outcome.payee, bond);
        }
        if (!won) return reason;
        if (!ended) {
            disputes.uphold(
                proof.claim.agreement, proof.claim.sequence, outcome, proof.root, proof.path
            );
        }
        committee.barAttesters(address(rail), outcome.payment, barred);
    }

    /// @inheritdoc IChallenges
    function judge(Case calldata case_) external view returns (Reason reason, uint216 barred) {
        return _judge(case_);
    }

    /// @inheritdoc IChallenges
    function isProven(bytes32 payment) external view returns (bool proven) {
        return _proven[payment].any;
    }

    /// @inheritdoc IChallenges
    function bondOf(bytes32 agreement, int48 amount) public view returns (uint48 bond) {
        (,, bond,,) = rail.agreementEnd(agreement);
        if (amount < int256(uint256(bond))) bond = amount > 0 ? uint48(amount) : 0;
    }

    function _judge(Case calldata case_) private view returns (Reason reason, uint216 barred) {
        (uint40 settledAt, uint216 signers) = _settled(case_.proof);
        bytes32 payment = case_.proof.outcome.payment;
        ProvenFaults memory before = _proven[payment];
        _requireOpen(case_.proof.outcome);
        if (before.any && signers & ~before.barred == 0) revert NotChallengeable(payment);
        (reason, barred) = _faultOf(case_, settledAt, signers);
        // a fault that bars nobody, which a friend of theirs proves first, spares nobody another one
        bool same = before.any && barred & ~before.barred == 0;
        if (reason == Reason.Proven && same) revert ProvenBefore(payment);
    }

    function _faultOf(Case calldata case_, uint40 settledAt, uint216 barred)
        private
        view
        returns (Reason reason, uint216)
    {
        Proof calldata proof = case_.proof;
        if (case_.fault == Fault.Register) return (_registerFault(case_), barred);
        if (case_.fault == Fault.Signature && SealedRecord.begins(proof.record)) {
            return (_sealFault(proof), barred);
        }
        OcmfRecord.Record memory record;
        (reason, record) = _recordOf(proof);
        if (reason != Reason.Proven) return (reason, 0);
        if (case_.fault == Fault.Signature) {
            bool valid = _isSigned(record, _deviceOf(proof));
            return (valid ? Reason.SignatureValid : Reason.Proven, barred);
        }
        if (case_.fault == Fault.Key) return _keyFault(proof, record, barred);
        return _counterFault(case_, record, settledAt, barred);
    }

    /// @dev Checks that a claim was settled, and with this outcome; says when, and who attested it.
    function _settled(Proof calldata proof) private view returns (uint40 time, uint216 signers) {
        IPaymentRail.Outcome calldata outcome = proof.outcome;
        bytes32 payment = Claims.payment(proof.claim.agreement, proof.claim.sequence);
        (time, signers) = rail.settledAt(proof.root);
        bool sound = time != 0 && outcome.payment == payment
            && outcome.claim == proof.claim.hash()
            && MerkleProof.verifyCalldata(proof.path, proof.root, Claims.leaf(outcome));
        if (!sound) revert OutcomeInvalid(payment);
        if (outcome.amount <= 0) revert NotChallengeable(payment); // refused ones are zero
    }

    /// @dev The money is still here: within the window, or frozen by a dispute. After a dispute its end
    /// stands, but who attested is barred all the same: no payee buys its oracles free by conceding.
    function _requireOpen(IPaymentRail.Outcome calldata outcome) private view {
        (bytes32 frozen, uint48 amount,) = rail.frozen(outcome.payment);
        if (amount != 0) return;
        uint256 end = outcome.releaseAt;
        if (frozen != 0) end += BARRING_TIME;
        if (block.timestamp >= end) revert WindowOver(end);
    }

    function _disputeEnded(bytes32 payment) private view returns (bool) {
        (bytes32 frozen, uint48 amount,) = rail.frozen(payment);
        return frozen != 0 && amount == 0;
    }

    /// @dev The record of a proof, where the claim rests on it and it is about its device.
    function _recordOf(Proof calldata proof)
        private
        view
        returns (Reason, OcmfRecord.Record memory record)
    {
        if (!_restsOn(proof)) return (Reason.NotInEvidence, record);
        record = OcmfRecord.read(proof.record);
        bool own = record.device() == _deviceOf(proof);
        return (own ? Reason.Proven : Reason.OtherMeter, record);
    }

    function _restsOn(Proof calldata proof) private pure returns (bool) {
        _requireSize(proof.record.length, MOST_RECORD);
        bytes32 leaf = keccak256(abi.encode(sha256(proof.record)));
        return MerkleProof.verifyCalldata(proof.evidence, proof.claim.evidence, leaf);
    }

    /// @dev When a sealed record was made is not read, so its device may have had one key only.
    function _sealFault(Proof calldata proof) private view returns (Reason) {
        if (!_restsOn(proof)) return Reason.NotInEvidence;
        SealedRecord.Sealed memory sealed_ = SealedRecord.read(proof.record);
        bytes32 device = _deviceOf(proof);
        if (sealed_.device != device) return Reason.OtherMeter;
        bool single = registry.keyCount(device) == 1 && registry.assignmentCount(device) == 0
            && registry.adoptedAt(device) == 0;
        if (!single) revert NeedsRuling();
        (, IDeviceRegistry.Curve curve, bytes32 x, bytes32 y) =
            registry.keyAt(device, uint40(block.timestamp));
        (bytes32 r, bytes32 s) = abi.decode(sealed_.signature, (bytes32, bytes32));
        bool valid = curve == sealed_.curve && registry.verify(curve, x, y, sealed_.digest, r, s);
        return valid ? Reason.SignatureValid : Reason.Proven;
    }

    /// @dev Whether the device, or the gateway that its owner assigned to it, signed the record.
    function _isSigned(OcmfRecord.Record memory record, bytes32 device)
        private
        view
        returns (bool)
    {
        uint40 time = record.observedAt();
        bytes32 gateway;
        _requireNotAdoptedLately(device, time);
        if (registry.assignmentCount(device) != 0) {
            gateway = registry.gatewayAt(device, time - AHEAD);
            if (gateway == 0 || registry.assignmentCount(device) != 1) revert NeedsRuling();
            if (_isSignedBy(record, gateway, time)) return true;
            if (registry.keyCount(device) == 0) return false;
        }
        return _isSignedBy(record, device, time);
    }

    /// @dev Keys never return, so one that is the same at both ends of the day, or the only one ever,
    /// is what every oracle saw that looked at the record.
    function _isSignedBy(OcmfRecord.Record memory record, bytes32 signer, uint40 time)
        private
        view
        returns (bool)
    {
        _requireNotAdoptedLately(signer, time);
        (, IDeviceRegistry.Curve curve, bytes32 x, bytes32 y) = registry.keyAt(signer, time);
        (,, bytes32 xBefore, bytes32 yBefore) = registry.keyAt(signer, time - AHEAD);
        bool same = x == xBefore && y == yBefore;
        if (!same && registry.keyCount(signer) != 1) revert NeedsRuling();
        return record.isBy(registry, curve, x, y);
    }

    /// @dev A payer that owns the device could declare its key stolen after it used the energy: then
    /// people rule. A compromise is declared for days that are over, so no oracle is to blame, however
    /// late it is proved: nothing else in the registry changes what it says of a time that is over.
    function _keyFault(Proof calldata proof, OcmfRecord.Record memory record, uint216 signers)
        private
        view
        returns (Reason, uint216 barred)
    {
        bytes32 device = _deviceOf(proof);
        uint40 time = record.observedAt();
        (IDeviceRegistry.Status status,,,) = registry.keyAt(device, time);
        if (status == IDeviceRegistry.Status.Active) return (Reason.KeyMaySign, 0);
        if (status == IDeviceRegistry.Status.Compromised) {
            _requireOtherOwner(proof.claim.agreement, device);
            _requireOtherOwner(proof.claim.agreement, registry.gatewayAt(device, time));
            return (Reason.Proven, 0);
        }
        if (registry.assignmentCount(device) != 0) return (Reason.Proven, 0);
        (IDeviceRegistry.Status before,,,) = registry.keyAt(device, time - AHEAD);
        bool known = status == IDeviceRegistry.Status.None
            || (status == before && status == IDeviceRegistry.Status.Revoked);
        return (Reason.Proven, known ? signers : 0);
    }

    /// @dev Two records of one claim: each of its signers saw both. Two payments: an oracle that came
    /// later may not know the earlier one, so those are barred that signed both.
    function _counterFault(
        Case calldata case_,
        OcmfRecord.Record memory record,
        uint40 settledAt,
        uint216 barred
    ) private view returns (Reason, uint216) {
        Proof calldata proof = case_.proof;
        Proof calldata other = case_.other;
        (uint40 before, uint216 signers) = _settled(other);
        (Reason reason, OcmfRecord.Record memory second) = _recordOf(other);
        if (reason != Reason.Proven) return (reason, 0);
        uint40 counter = record.counter();
        bool samePayment = proof.outcome.payment == other.outcome.payment;
        // claims of other products may rest on a record of each other, by citing it
        if (!samePayment && !EnergyClaim.isEnergy(_productOf(proof))) revert NeedsRuling();
        bool twice = second.counter() == counter && _covers(proof.claim, counter)
            && _covers(other.claim, counter) && _deviceOf(proof) == _deviceOf(other);
        twice = twice
            && (samePayment
                ? keccak256(proof.record) != keccak256(other.record)
                : before <= settledAt && _productOf(proof) == _productOf(other));
        return twice ? (Reason.Proven, barred & signers) : (Reason.CounterUsedOnce, 0);
    }

    /// @dev Holds all records of the claim against its facts: with every one of them read, nothing
    /// that oracles know of the claim is unknown here.
    function _registerFault(Case calldata case_) private view returns (Reason) {
        Proof calldata proof = case_.proof;
        bytes[] calldata records = case_.records;
        bytes32 device = _deviceOf(proof);
        bytes32[] memory leaves = new bytes32[](records.length);
        uint256 size;
        for (uint256 i; i < records.length; ++i) {
            _requireSize(records[i].length, MOST_RECORD);
            size += records[i].length;
            leaves[i] = keccak256(abi.encode(sha256(records[i])));
        }
        _requireSize(size, MOST_RECORDS);
        if (Merkle.root(leaves) != proof.claim.evidence) return Reason.NotInEvidence;
        uint256 chosen = case_.atEnd ? records.length - 1 : 0;
        uint256 mark = Scratch.mark();
        for (uint256 i; i < records.length; ++i) {
            if (i == chosen) continue;
            OcmfRecord.Record memory more = OcmfRecord.read(records[i]);
            if (more.device() != device) return Reason.OtherMeter;
            if (!more.isClean()) revert NeedsRuling();
            Scratch.free(mark);
        }
        OcmfRecord.Record memory record = OcmfRecord.read(records[chosen]);
        if (record.device() != device) return Reason.OtherMeter;
        if (!record.isClean()) revert NeedsRuling();
        uint40 counter = case_.atEnd ? proof.claim.lastCounter : proof.claim.firstCounter;
        if (record.counter() != counter) return Reason.OtherCounter;
        if (!_isSigned(record, device)) return Reason.SignatureInvalid;
        return EnergyClaim.compare(
            record, proof.claim, _productOf(proof), case_.offset, case_.atEnd, records.length
        );
    }

    /// @dev Two registries know no common history of keys and gateways.
    function _requireNotAdoptedLately(bytes32 device, uint40 time) private view {
        uint40 adoptedAt = registry.adoptedAt(device);
        if (adoptedAt != 0 && adoptedAt > time - AHEAD) revert NeedsRuling();
    }

    function _requireOtherOwner(bytes32 agreement, bytes32 device) private view {
        (address payer,,,,,,,) = rail.agreementTerms(agreement);
        if (registry.ownerOf(device) == payer) revert NeedsRuling();
    }

    function _requireSize(uint256 size, uint256 most) private pure {
        if (size > most) revert RecordTooLarge(size, most);
    }

    function _covers(IPaymentRail.Claim calldata claim, uint40 counter)
        private
        pure
        returns (bool)
    {
        return claim.firstCounter <= counter && counter <= claim.lastCounter;
    }

    function _deviceOf(Proof calldata proof) private view returns (bytes32 device) {
        (,, device,,,,,) = rail.agreementTerms(proof.claim.agreement);
    }

    function _productOf(Proof calldata proof) private view returns (address product) {
        (,,, product,,,,) = rail.agreementTerms(proof.claim.agreement);
    }
}
