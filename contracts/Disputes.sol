// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from
    "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IDeviceRegistry} from "./interfaces/IDeviceRegistry.sol";
import {IDisputes} from "./interfaces/IDisputes.sol";
import {IOracleCommittee} from "./interfaces/IOracleCommittee.sol";
import {IPaymentRail} from "./interfaces/IPaymentRail.sol";
import {Claims} from "./libraries/Claims.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title Disputes: bonds, deadlines and who may end what.
/// @notice IDisputes documents it. The rail makes this contract and is its only counterpart.
contract Disputes is IDisputes, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    struct Dispute {
        address challenger; // zero: there is none
        uint48 bond;
        uint40 deadline; // pauses left out
        uint8 requiredDomain;
        uint32 window; // the end of the payment's dispute window, Unix seconds
        uint216 signers;
        address payee;
        uint32 pausedBefore; // seconds of pauses that were over by then
    }

    /// @notice How long a dispute may wait for a ruling, in seconds.
    uint40 public constant RULING_TIME = 30 days;

    /// @notice Whose payments are disputed.
    IPaymentRail public immutable rail;
    /// @notice What bonds are paid in.
    IERC20 public immutable token;
    /// @notice Whose quorum rules.
    IOracleCommittee public immutable committee;
    /// @notice Which devices are declared compromised.
    IDeviceRegistry public immutable registry;
    /// @notice Who is a warden.
    address public immutable access;
    mapping(bytes32 payment => Dispute) private _disputes;

    constructor(
        IPaymentRail rail_,
        IERC20 token_,
        IOracleCommittee committee_,
        IDeviceRegistry registry_,
        address access_
    ) {
        rail = rail_;
        token = token_;
        committee = committee_;
        registry = registry_;
        access = access_;
    }

    /// @inheritdoc IDisputes
    function dispute(
        bytes32 agreement,
        uint32 sequence,
        IPaymentRail.Outcome calldata outcome,
        bytes32 root,
        bytes32[] calldata proof
    ) external nonReentrant {
        // resolve
        bytes32 payment = Claims.payment(agreement, sequence);
        (address payer,, bytes32 device,,,,, uint8 requiredDomain) = rail.agreementTerms(agreement);
        (,, uint48 bond,,) = rail.agreementEnd(agreement);
        (, uint216 signers) = rail.settledAt(root);
        uint32 pausedBefore = _pausedSoFar();
        uint40 deadline = uint40(block.timestamp) + RULING_TIME;
        // check: all that is about the payment itself is the rail's to check
        if (msg.sender != payer) {
            if (!_wardenMay(device)) revert NotParty(msg.sender);
            bond = 0;
        } else if (outcome.amount < int256(uint256(bond))) {
            bond = uint48(outcome.amount);
        }
        // effect
        _disputes[payment] = Dispute({
            challenger: msg.sender,
            bond: bond,
            deadline: deadline,
            requiredDomain: requiredDomain,
            window: outcome.releaseAt,
            signers: signers,
            payee: outcome.payee,
            pausedBefore: pausedBefore
        });
        // event
        emit DisputeOpened(payment, msg.sender, bond, deadline);
        // interaction
        rail.freeze(agreement, sequence, outcome, root, proof);
        if (bond != 0) token.safeTransferFrom(msg.sender, address(this), bond);
    }

    /// @inheritdoc IDisputes
    function concede(bytes32 payment) external nonReentrant {
        // resolve
        Dispute memory dispute_ = _open(payment);
        // check
        if (msg.sender != dispute_.payee) revert NotParty(msg.sender);
        // effect, event, interaction
        _end(payment, dispute_, true, dispute_.challenger);
    }

    /// @inheritdoc IDisputes
    function retract(bytes32 payment) external nonReentrant {
        // resolve
        Dispute memory dispute_ = _open(payment);
        bool harmless = block.timestamp < dispute_.window; // nothing was delayed yet
        // check
        if (msg.sender != dispute_.challenger) revert NotParty(msg.sender);
        // effect, event, interaction
        _end(payment, dispute_, false, harmless ? dispute_.challenger : dispute_.payee);
    }

    /// @inheritdoc IDisputes
    function rule(bytes32 payment, bool refund, bytes[] calldata signatures)
        external
        nonReentrant
    {
        // resolve
        Dispute memory dispute_ = _open(payment);
        uint256 domains = committee.rulingQuorum(
            address(rail), payment, refund, dispute_.signers, signatures
        );
        uint8 wanted = dispute_.requiredDomain;
        // check
        if (wanted != 0 && (domains >> wanted) & 1 == 0) revert DomainMissing(wanted);
        // effect, event, interaction
        _end(payment, dispute_, refund, refund ? dispute_.challenger : dispute_.payee);
    }

    /// @inheritdoc IDisputes
    function expire(bytes32 payment) external nonReentrant {
        // resolve
        Dispute memory dispute_ = _open(payment);
        uint256 deadline = _deadline(dispute_);
        // check
        if (block.timestamp <= deadline) revert NotExpired(deadline);
        // effect, event, interaction
        _end(payment, dispute_, false, dispute_.payee);
    }

    /// @inheritdoc IDisputes
    function uphold(
        bytes32 agreement,
        uint32 sequence,
        IPaymentRail.Outcome calldata outcome,
        bytes32 root,
        bytes32[] calldata proof
    ) external nonReentrant {
        // resolve
        bytes32 payment = Claims.payment(agreement, sequence);
        Dispute memory dispute_ = _disputes[payment];
        // check
        if (msg.sender != committee.challengesOf(address(rail))) revert NotChallenges(msg.sender);
        // effect, event, interaction
        if (dispute_.challenger == address(0)) {
            rail.freeze(agreement, sequence, outcome, root, proof);
            rail.unfreeze(payment, true);
        } else {
            _end(payment, dispute_, true, dispute_.challenger);
        }
    }

    /// @inheritdoc IDisputes
    function disputeOf(bytes32 payment)
        external
        view
        returns (
            address challenger,
            uint48 bond,
            uint256 deadline,
            uint8 requiredDomain,
            uint216 signers
        )
    {
        Dispute memory dispute_ = _disputes[payment];
        if (dispute_.challenger == address(0)) return (address(0), 0, 0, 0, 0);
        challenger = dispute_.challenger;
        bond = dispute_.bond;
        deadline = _deadline(dispute_);
        requiredDomain = dispute_.requiredDomain;
        signers = dispute_.signers;
    }

    function _open(bytes32 payment) private view returns (Dispute memory dispute_) {
        dispute_ = _disputes[payment];
        if (dispute_.challenger == address(0)) revert NotDisputed(payment);
    }

    function _deadline(Dispute memory dispute_) private view returns (uint256) {
        (, uint32 paused) = rail.pauses();
        return uint256(dispute_.deadline) + paused - dispute_.pausedBefore;
    }

    /// @dev Seconds of pauses that are over: what is left of the present one still moves deadlines.
    function _pausedSoFar() private view returns (uint32) {
        (uint32 until, uint32 total) = rail.pauses();
        return block.timestamp < until ? total - (until - uint32(block.timestamp)) : total;
    }

    function _end(bytes32 payment, Dispute memory dispute_, bool refund, address to) private {
        delete _disputes[payment];
        rail.unfreeze(payment, refund);
        if (dispute_.bond == 0) return;
        emit BondPaid(payment, to, dispute_.bond, to == dispute_.challenger);
        token.safeTransfer(to, dispute_.bond);
    }

    function _wardenMay(bytes32 device) private view returns (bool) {
        return Roles.holds(access, Roles.WARDEN, msg.sender)
            && registry.compromisedSince(device) != 0;
    }
}
