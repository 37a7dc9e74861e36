// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Escrow, agreements, settlement and the challenge window.
/// @notice `settle` is open to any caller: the trust is in the oracles' signatures, not in the sender.
/// Warning: the rail does not check device signatures of metered evidence; the quorum does.
/// Warning: a hostile quorum can attest false facts; caps, escrow and product checks bound the loss.
interface IPaymentRail {
    /// The payer's consent (EIP-712 "Mandate"); its struct hash is the agreement id.
    struct Mandate {
        address payer;
        address payee;
        bytes32 device; // keccak256 of the device's name
        address product;
        uint48 cap; // token minor units per period
        uint16 periodDays; // 0: the cap holds for the whole life
        uint32 window; // challenge window, seconds
        uint32 expiry; // Unix seconds; claims after it are refused
        uint40 firstCounter; // device counters at or below it are before the agreement
        uint8 requiredDomain; // trust domain that must be among the signers; 0: none
        bytes32 salt;
        bytes terms; // the product's own
    }

    /// What the quorum signed for one agreement (EIP-712 "Claim").
    struct Claim {
        bytes32 agreement;
        uint32 sequence;
        uint40 firstCounter;
        uint40 lastCounter;
        bytes32 evidence; // Merkle root of the evidence hashes
        bytes facts;
    }

    /// Claims of one product in strictly ascending agreement order.
    struct Batch {
        address product;
        Claim[] claims;
    }

    /// Why a claim was refused. Values below 100 are the rail's; 100 + n is the product's refusal n.
    enum Refusal {
        None,
        UnknownAgreement,
        WrongProduct,
        NotLive,
        Expired,
        SequenceUnexpected,
        CountersReplayed,
        CountersMalformed,
        DomainMissing,
        CapExceeded,
        EscrowShort,
        DeviceBarred,
        Unsorted
    }

    enum Status {
        None,
        Live,
        Closed
    }

    /// One leaf of a settlement's Merkle tree, double-hashed: keccak(keccak(abi.encode(leaf))).
    struct Outcome {
        bytes32 payment; // keccak256(abi.encode(agreement, uint256(sequence)))
        bytes32 claim; // EIP-712 struct hash of the claim
        address payee;
        uint48 amount;
        uint8 refusal;
        uint32 releaseAt;
    }

    /// Carries all an oracle needs (terms, first counter, expiry), so that it can read agreements from logs alone.
    event AgreementOpened(bytes32 indexed agreement, address indexed payer, address indexed payee, bytes32 device, address product, uint32 expiry, uint40 firstCounter, bytes terms);
    event AgreementClosed(bytes32 indexed agreement, uint32 expiry);
    event EscrowFunded(bytes32 indexed agreement, uint256 amount);
    event EscrowReclaimed(bytes32 indexed agreement, address indexed payer, uint256 amount);
    /// `outcomes` packs 7 bytes a claim, in order: uint48 amount, uint8 refusal.
    event Settled(uint256 indexed settlement, bytes32 indexed root, address indexed product, uint32 settledAt, bytes outcomes);
    event Released(address indexed payee, uint256 amount, uint32[] releaseTimes);
    event PayoutAccountSet(address indexed payee, bytes32 account);
    event Withdrawn(address indexed payee, address to, uint256 amount);
    event PaymentDisputed(bytes32 indexed payment, address indexed payer, address indexed payee, uint48 amount);
    event DisputeEnded(bytes32 indexed payment, bool refunded, uint48 amount);
    event ProductAllowed(address indexed product, bool allowed);

    error UnknownAgreement(bytes32 agreement);
    error AgreementExists(bytes32 agreement);
    error AgreementIsNotLive(bytes32 agreement);
    error DeviceHasAgreement(bytes32 device, bytes32 agreement);
    error ProductNotAllowed(address product);
    error MandateSignatureInvalid(address payer);
    error MandateExpired(uint32 expiry);
    error BatchEmpty();
    error BatchTooLarge(uint256 claims, uint256 limit);
    error NotParty(address caller);
    error NotYetDue(uint32 due);
    error NothingDue(address payee);
    error AmountTooLarge(uint256 amount);
    error ProofInvalid(bytes32 root);
    error WindowOver(uint32 releaseAt);
    error NotDisputed(bytes32 payment);
    error NotSteward(address caller);
    error NotToken(address caller);

    function open(Mandate calldata mandate, bytes calldata signature) external returns (bytes32 agreement);
    function close(bytes32 agreement) external;
    function reclaim(bytes32 agreement) external;
    function fund(bytes32 agreement, uint256 amount) external;
    function onMint(bytes32 agreement, uint256 amount) external;
    function settle(Batch calldata batch, bytes[] calldata signatures) external returns (bytes32 root);
    function setPayoutAccount(bytes32 account) external;
    function release(address payee, uint32[] calldata releaseTimes) external;
    function withdraw(address to, uint256 amount) external;
    function dispute(Outcome calldata outcome, bytes32 root, bytes32[] calldata proof) external;
    function concede(bytes32 payment) external;
    function retract(bytes32 payment) external;
    function rule(bytes32 payment, bool refund, bytes[] calldata signatures) external;
}
