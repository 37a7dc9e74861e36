// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Escrow, agreements, settlement and the challenge window.
/// @notice `settle` is open to any caller: the trust is in the oracles' signatures, not in the
/// sender.
/// Warning: the rail does not check device signatures of metered evidence; the quorum does.
/// Warning: a hostile quorum can attest false facts; caps, escrow and product checks bound the
/// loss.
/// Warning: anyone who signs a mandate may bind a free device; its owner can `close` that
/// agreement.
/// Warning: tokens sent to the rail by a plain transfer are donations: they belong to no agreement.
/// Warning: a credit is a debt, not a refund: it waits for the payee's next money or `repay`, and a
/// payee that never earns again never pays it. The rail cannot check that a product gives back no
/// more than it charged, nor that a payment refunded by a dispute is not credited as well.
interface IPaymentRail {
    /// The payer's consent (EIP-712 "Mandate"); its struct hash is the agreement id.
    struct Mandate {
        address payer;
        address payee; // zero where the product names each claim's payee (Traits.ANY_PAYEE)
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

    /// Why a claim was refused. Values below 100 are the rail's; 100 + n is the product's refusal
    /// n.
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
        Unsorted
    }

    enum Status {
        None,
        Live,
        Closed
    }

    /// One leaf of a settlement's Merkle tree, double-hashed: keccak(keccak(abi.encode(leaf))).
    /// A refused claim's leaf has payee, amount and releaseAt zero; a credit's releaseAt is zero.
    struct Outcome {
        bytes32 payment; // keccak256(abi.encode(agreement, uint256(sequence)))
        bytes32 claim; // EIP-712 struct hash of the claim
        address payee;
        int48 amount; // below zero: a credit, which the payee owes to the agreement
        uint8 refusal;
        uint32 releaseAt;
    }

    /// Carries all an oracle needs, so that it can read agreements from logs alone.
    event AgreementOpened(
        bytes32 indexed agreement,
        address indexed payer,
        address indexed payee,
        bytes32 device,
        address product,
        uint32 expiry,
        uint40 firstCounter,
        bytes terms
    );
    event AgreementClosed(bytes32 indexed agreement, uint32 expiry);
    event EscrowFunded(bytes32 indexed agreement, uint256 amount);
    event EscrowReclaimed(bytes32 indexed agreement, address indexed payer, uint256 amount);
    /// `outcomes` packs 7 bytes a claim, in order: int48 amount (two's complement), uint8 refusal.
    event Settled(
        uint256 indexed settlement,
        bytes32 indexed root,
        address indexed product,
        uint32 settledAt,
        bytes outcomes
    );
    /// A payee's debt, or a part of it, went back into the agreement's escrow.
    event DebtPaid(bytes32 indexed agreement, address indexed payee, uint256 amount);
    /// The debts named by the `DebtPaid` before it were paid out of the payee's own tokens; those
    /// before a `Released` out of what it released.
    event Repaid(address indexed payee, uint256 amount);
    /// `amount` is what left the payee's pending money, debts that it paid included.
    event Released(address indexed payee, uint256 amount, uint32[] releaseTimes);
    event PayoutAccountSet(address indexed payee, bytes32 account);
    event Withdrawn(address indexed payee, address to, uint256 amount);
    event PaymentDisputed(
        bytes32 indexed payment, address indexed payer, address indexed payee, uint48 amount
    );
    event DisputeEnded(bytes32 indexed payment, bool refunded, uint48 amount);
    event ProductAllowed(address indexed product, bool allowed);
    event PauseSet(bool paused);

    error UnknownAgreement(bytes32 agreement);
    error AgreementExists(bytes32 agreement);
    error AgreementIsNotLive(bytes32 agreement);
    error DeviceHasAgreement(bytes32 device, bytes32 agreement);
    error DeviceNotActive(bytes32 device);
    error ProductNotAllowed(address product);
    error ProductAnswerInvalid(address product);
    error PayeeMissing();
    error PayeeUnexpected(address payee);
    error WindowTooLong(uint32 window, uint32 limit);
    error MandateSignatureInvalid(address payer);
    error MandateExpired(uint32 expiry);
    error BatchEmpty();
    error BatchTooLarge(uint256 claims, uint256 limit);
    error NotParty(address caller);
    error NotYetDue(uint32 due);
    error NothingDue(address payee);
    error AmountTooLarge(uint256 amount);
    error BalanceShort(uint256 have, uint256 need);
    error ProofInvalid(bytes32 root);
    error WindowOver(uint32 releaseAt);
    error NotDisputable(bytes32 payment);
    error NotDisputed(bytes32 payment);
    error NotSteward(address caller);
    error NotGuardian(address caller);
    error NotToken(address caller);
    error Paused();

    /// Allows a product for new agreements, or no longer. Only the steward.
    /// Warning: agreements of a product that is no longer allowed still settle until they end.
    /// Warning: a product that reverts blocks every batch of its own claims; that is why the
    /// steward
    /// lists them. Escrow, pending and withdrawable money never depend on a product.
    function allowProduct(address product, bool allowed) external;

    /// Stops `open` and `settle`, nothing else. Only the guardian.
    function pause() external;

    /// Lets them run again. Only the steward, so that one stolen key cannot play both parts.
    function unpause() external;

    /// Opens the agreement that the payer signed (EOA, or contract by ERC-1271). Anyone may call.
    function open(Mandate calldata mandate, bytes calldata signature)
        external
        returns (bytes32 agreement);

    /// Brings the expiry forward to one challenge window from now. The payer, or the device's
    /// owner.
    function close(bytes32 agreement) external;

    /// After the expiry, returns the escrow to the payer, ends the agreement and frees the device.
    /// Anyone may call. May be called again when a dispute or a credit has put money back.
    function reclaim(bytes32 agreement) external;

    /// Pulls tokens from the caller into a live agreement's escrow.
    function fund(bytes32 agreement, uint256 amount) external;

    /// The token tells that it minted into escrow. Only the token. An ended agreement takes it too:
    /// the payer reclaims it, and no bank credit is stuck.
    function onMint(bytes32 agreement, uint256 amount) external;

    /// Applies a batch that the quorum signed. A claim that cannot be applied is refused by name,
    /// and
    /// neither blocks its neighbours nor uses up its sequence. Returns the outcomes' Merkle root.
    function settle(Batch calldata batch, bytes[] calldata signatures)
        external
        returns (bytes32 root);

    /// Names the bank account (a hash the bank knows) that the caller's releases are paid to; 0:
    /// none.
    function setPayoutAccount(bytes32 account) external;

    /// Releases what has matured. With a payout account the whole cents are redeemed to the bank
    /// and the
    /// rest stays withdrawable; without one all of it becomes withdrawable. Anyone may call.
    /// First of all the matured money pays the payee's debts, the oldest first.
    /// Warning: one call pays at most 32 debts; what matured beyond them goes to the payee even
    /// though more debts are open. They wait for the next release.
    function release(address payee, uint32[] calldata releaseTimes) external;

    /// Pays the caller's debts, oldest first, 32 at most, out of its own tokens: `amount` or what
    /// is owed, whichever is less. Never paused.
    function repay(uint256 amount) external;

    /// Takes the caller's withdrawable tokens out. Never paused.
    function withdraw(address to, uint256 amount) external;

    /// Freezes one payment within its window. The payer, or the registry's warden where the
    /// agreement's device is declared compromised; once per payment.
    /// Warning: the warden may freeze any such payment, whenever its events were: who was paid for
    /// honest ones is given them by `retract` or `rule`.
    function dispute(
        bytes32 agreement,
        uint32 sequence,
        Outcome calldata outcome,
        bytes32 root,
        bytes32[] calldata proof
    ) external;

    /// The payee gives a disputed payment back to the agreement's escrow.
    /// Warning: the product does not hear of a refund, here or by `rule`. A later credit for the
    /// same payment is owed as well, so who rules has to know whether it was or will be corrected.
    function concede(bytes32 payment) external;

    /// The payer lets a disputed payment go: it becomes the payee's withdrawable money.
    function retract(bytes32 payment) external;

    /// The committee's quorum decides a dispute. Anyone may hand the ruling in.
    function rule(bytes32 payment, bool refund, bytes[] calldata signatures) external;

    /// What changes with each settlement. `status` is a `Status`.
    function agreementState(bytes32 agreement)
        external
        view
        returns (
            uint32 sequence,
            uint40 lastCounter,
            uint48 escrow,
            uint48 spent,
            uint32 expiry,
            uint8 status
        );

    /// What was agreed at the opening.
    function agreementTerms(bytes32 agreement)
        external
        view
        returns (
            address payer,
            address payee,
            bytes32 device,
            address product,
            uint48 cap,
            uint16 periodDays,
            uint32 window,
            uint8 requiredDomain
        );

    /// Running sums in token minor units: escrow + pending + withdrawable + frozen is the rail's
    /// token balance less donations; `redeemed` is all that ever left to the bank through the rail;
    /// `owed` is the open debts of all payees, a memo that no token stands for yet.
    function totals()
        external
        view
        returns (
            uint256 escrow,
            uint256 pending,
            uint256 withdrawable,
            uint256 frozen,
            uint256 redeemed,
            uint256 owed
        );

    /// What a payee owes to agreements: its open debts together.
    function owed(address payee) external view returns (uint256);

    function pending(address payee, uint32 releaseAt) external view returns (uint256);
    function withdrawable(address payee) external view returns (uint256);
    function payoutAccount(address payee) external view returns (bytes32);
    function settledAt(bytes32 root) external view returns (uint256);
    function agreementOf(bytes32 device) external view returns (bytes32);
    function frozen(bytes32 payment)
        external
        view
        returns (bytes32 agreement, uint48 amount, address payee);
    function settlements() external view returns (uint256);
    function paused() external view returns (bool);
}
