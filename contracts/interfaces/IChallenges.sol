// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "./IPaymentRail.sol";

/// @title Challenges: a payment that rests on a bad record of a device is won back by proof.
/// @notice Anyone who holds the record can prove a fault of it, within the payment's dispute window
/// or while it is under dispute. No oracle is asked: this contract reads the record itself.
/// A challenge costs the agreement's bond, or the amount where that is less (approve this contract
/// before). A proved fault refunds the payer, returns the bond (and that of an open dispute), and
/// bars oracles that attested it: see `Fault`. A false one pays the bond to the payee and changes
/// nothing else. What is no proof at all, or a record that this contract does not read, reverts:
/// that costs nothing, and a dispute and a ruling are the way then.
/// Records are OCMF (plain text, ECDSA with SHA-256 over P-256 or secp256k1); of sealed records (COSE,
/// JWS) the signature alone. `judge` says beforehand what a challenge would end in.
/// Oracles judge a record before its settlement, and a device's clock may be a day ahead of them. So
/// nothing counts that may have changed since they looked: a key that was replaced within the day
/// before the record reverts, and a revocation within that day bars nobody.
/// Warning: it reads what is shown. A claim whose records nobody has can be disputed, not challenged.
interface IChallenges {
    /// What is wrong.
    enum Fault {
        Signature, // no key that the registry has for the device and time made it: bars all signers
        Counter, // two payments of metered energy, or two records of one claim, hold its counter:
        // refunds the later payment; bars who signed both
        Register, // the register at the claim's begin or end is another one: bars all signers
        Key // the key might not sign at that time, by the registry: bars all signers where the
        // device was revoked a day before or never enrolled, else nobody
    }

    /// Why a challenge is lost.
    enum Reason {
        Proven, // it is won
        NotInEvidence, // the claim does not rest on this record
        OtherMeter, // the record is about another device than the agreement
        SignatureValid,
        SignatureInvalid, // a record that the device did not sign proves nothing about its register
        KeyMaySign,
        CounterUsedOnce,
        OtherCounter, // not the record that the claim begins, or ends, with
        NotThatNumber, // another field, another reading, or no number of a reading at all
        NotPlainNumber, // a sign or an exponent
        RegisterAgrees
    }

    /// A settled claim, and one record that it rests on.
    struct Proof {
        IPaymentRail.Claim claim;
        IPaymentRail.Outcome outcome;
        bytes32 root; // of the settlement
        bytes32[] path; // from the outcome to the root
        bytes record; // as the device made it
        bytes32[] evidence; // from the record to the claim's evidence
    }

    /// What is to be judged.
    struct Case {
        Fault fault;
        Proof proof;
        Proof other; // Counter: the earlier payment, or the same one with the other record
        bytes[] records; // Register: all records of the claim, in order; `proof` has none then
        uint256 offset; // Register: where the disputed number begins in the record
        bool atEnd; // Register: whether it is the claim's last reading, else its first
    }

    /// @notice A fault was proved: the payer was refunded, the bond returned. Where a dispute had ended
    /// before, its end stands, and nothing was refunded now.
    /// @param payment id of the payment
    /// @param challenger who proved it
    /// @param fault a `Fault`
    /// @param bond token minor units that came back
    /// @param barred bitmap over the committee's member indexes: who is to be barred for it
    event FaultProven(
        bytes32 indexed payment,
        address indexed challenger,
        Fault fault,
        uint48 bond,
        uint216 barred
    );

    /// @notice A false challenge: its bond is the payee's.
    /// @param payment id of the payment
    /// @param challenger who lost it
    /// @param fault a `Fault`
    /// @param bond token minor units
    /// @param reason why
    event ChallengeLost(
        bytes32 indexed payment,
        address indexed challenger,
        Fault fault,
        uint48 bond,
        Reason reason
    );

    /// @notice The outcome is not in the settlement, or not the claim's.
    /// @param payment id of the payment
    error OutcomeInvalid(bytes32 payment);

    /// @notice Nothing was paid, or a fault of it was proved before.
    /// @param payment id of the payment
    error NotChallengeable(bytes32 payment);

    /// @notice The dispute window is over, and no dispute is open; after a dispute: the time in which
    /// who attested can still be barred is over.
    /// @param releaseAt its end, Unix seconds
    error WindowOver(uint256 releaseAt);

    /// @notice The record, or all records together, are longer than one transaction can hold.
    /// @param size bytes
    /// @param most bytes
    error RecordTooLarge(uint256 size, uint256 most);

    /// @notice This cannot be decided here: what oracles saw may have been otherwise, or the rules
    /// for such a record are more than this contract knows. Dispute the payment.
    error NeedsRuling();

    /// @notice Challenges a payment.
    /// @param case_ what is proved
    /// @return reason Proven, or why it was lost
    function challenge(Case calldata case_) external returns (Reason reason);

    /// @notice Says what a challenge would end in, without a bond.
    /// @param case_ what is proved
    /// @return reason Proven, or why it would be lost
    /// @return barred bitmap over the committee's member indexes: who would be barred
    function judge(Case calldata case_) external view returns (Reason reason, uint216 barred);

    /// @notice Says whether a fault of a payment was proved.
    /// @param payment id of the payment
    /// @return proven whether it was
    function isProven(bytes32 payment) external view returns (bool proven);

    /// @notice Says what a challenge of a payment costs if it is lost.
    /// @param agreement id of the agreement
    /// @param amount of the payment, token minor units
    /// @return bond token minor units
    function bondOf(bytes32 agreement, int48 amount) external view returns (uint48 bond);
}
