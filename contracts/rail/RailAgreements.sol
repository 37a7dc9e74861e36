// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {Consents} from "../Consents.sol";
import {IConsents} from "../interfaces/IConsents.sol";
import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {Traits} from "../libraries/Traits.sol";
import {RailPayouts} from "./RailPayouts.sol";

/// @title The life of an agreement and its escrow: open, fund, close, skip, reclaim.
/// @notice Only `open` looks at the pause.
abstract contract RailAgreements is RailPayouts {
    using SafeERC20 for IERC20;

    /// @notice The least time from an agreement's end to the return of its escrow, in seconds.
    uint32 public constant MIN_GRACE = 1 days;

    /// @inheritdoc IPaymentRail
    address public immutable consents;

    constructor() {
        consents = address(new Consents(address(this), registry));
    }

    /// @inheritdoc IPaymentRail
    function open(Mandate calldata mandate, bytes calldata signature, bytes calldata consent)
        external
        nonReentrant
        returns (bytes32 agreement)
    {
        // resolve
        Product memory product = _products[mandate.product];
        bool shared = product.traits & Traits.SHARED != 0;
        // check
        if (paused()) revert Paused();
        _checkParties(mandate, product);
        uint32 start;
        (agreement, start) =
            IConsents(consents).requireAgreed(mandate, signature, consent, msg.sender, shared);
        if (_agreements[agreement].live.status != Status.None) revert AgreementExists(agreement);
        if (!shared) _checkAlone(mandate.device, start);
        // effect
        if (!shared) agreementOf[mandate.device] = agreement;
        Agreement storage agreement_ = _store(agreement, mandate, product.index);
        // interaction: a listed product, under the lock; its answer belongs to the event
        uint32 grace =
            IProduct(mandate.product).open(agreement, mandate.device, start, mandate.terms);
        // effect, event
        grace = _grace(grace, mandate.window);
        agreement_.grace = uint24(grace);
        emit AgreementOpened(agreement, mandate.payer, mandate.payee, start, grace, mandate);
    }

    /// @inheritdoc IPaymentRail
    function close(bytes32 agreement) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        Live storage live = agreement_.live;
        // check
        if (live.status != Status.Live) revert AgreementIsNotLive(agreement);
        if (msg.sender != agreement_.payer && msg.sender != registry.ownerOf(agreement_.device)) {
            revert NotParty(msg.sender);
        }
        // effect
        if (block.timestamp < live.expiry) live.expiry = uint32(block.timestamp);
        // event
        emit AgreementClosed(agreement, live.expiry);
    }

    /// @inheritdoc IPaymentRail
    function skip(
        bytes32 agreement,
        uint32 sequence,
        uint40 lastCounter,
        bytes calldata payerSignature,
        bytes calldata payeeSignature
    ) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        Live storage live = agreement_.live;
        address payee = agreement_.terms.payee;
        if (payee == address(0)) payee = registry.ownerOf(agreement_.device);
        bool passes = lastCounter > live.lastCounter; // without counters no record is passed over
        // check
        if (live.status != Status.Live) revert AgreementIsNotLive(agreement);
        if (sequence != uint256(live.sequence) + 1 || lastCounter < live.lastCounter) {
            revert SkipInvalid(agreement, sequence);
        }
        IConsents(consents).requireSkipSigned(
            agreement,
            sequence,
            lastCounter,
            agreement_.payer,
            payee,
            payerSignature,
            payeeSignature
        );
        // effect
        (live.sequence, live.lastCounter) = (sequence, lastCounter);
        // interaction: a product that fails must not keep the agreement from going on
        if (passes) try IProduct(_productOf(agreement_)).skipped(agreement) {} catch {}
        // event: last, since its gas is what a relayer who starves the product would lack
        emit ClaimSkipped(agreement, sequence, lastCounter);
    }

    /// @inheritdoc IPaymentRail
    function reclaim(bytes32 agreement) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        address payer = agreement_.payer;
        uint48 amount = agreement_.live.escrow;
        uint256 endsAt = _endsAt(agreement_);
        // check
        if (block.timestamp <= endsAt) revert NotYetDue(uint32(endsAt));
        if (agreement_.live.status == Status.Closed && amount == 0) revert NothingDue(payer);
        // effect
        agreement_.live.status = Status.Closed;
        agreement_.live.escrow = 0;
        agreement_.cameIn -= amount;
        _totals.escrow -= amount;
        if (agreementOf[agreement_.device] == agreement) delete agreementOf[agreement_.device];
        // event
        emit EscrowReclaimed(agreement, payer, amount);
        // interaction
        if (amount != 0) token.safeTransfer(payer, amount);
    }

    /// @inheritdoc IPaymentRail
    function fund(bytes32 agreement, uint256 amount) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        uint256 before = token.balanceOf(address(this));
        // check
        bool live = agreement_.live.status == Status.Live && block.timestamp <= _endsAt(agreement_);
        if (!live) revert AgreementIsNotLive(agreement);
        if (amount == 0 || amount > type(uint48).max) revert AmountTooLarge(amount);
        // interaction: first, since only what really arrived is booked
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 arrived = token.balanceOf(address(this)) - before;
        if (arrived != amount) revert BalanceShort(arrived, amount);
        // effect
        _addEscrow(agreement_, amount);
        // event
        emit EscrowFunded(agreement, amount);
    }

    /// @inheritdoc IPaymentRail
    function onMint(bytes32 agreement, uint256 amount) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        // check
        if (msg.sender != address(token)) revert NotToken(msg.sender);
        // effect
        _addEscrow(agreement_, amount);
        // event
        emit EscrowFunded(agreement, amount);
    }

    function _checkParties(Mandate calldata mandate, Product memory product) private view {
        address payee = mandate.payee;
        if (!product.allowed) revert ProductNotAllowed(mandate.product);
        if (product.traits & Traits.ANY_PAYEE != 0) {
            if (payee != address(0)) revert PayeeUnexpected(payee);
        } else if (payee == address(0)) {
            revert PayeeMissing();
        }
        if (payee == address(this) || payee == disputes || payee == address(token)) {
            revert PayeeInvalid(payee);
        }
        if (!registry.isActive(mandate.device)) revert DeviceNotActive(mandate.device);
    }

    /// @dev Of a device that serves one agreement at a time, facts belong to one agreement.
    function _checkAlone(bytes32 device, uint32 start) private view {
        bytes32 current = agreementOf[device];
        if (current == 0) return;
        uint32 expiry = _agreements[current].live.expiry;
        if (block.timestamp <= expiry) revert DeviceHasAgreement(device, current);
        if (start <= expiry) revert StartOutOfRange(start);
    }

    function _store(bytes32 agreement, Mandate calldata mandate, uint8 product)
        private
        returns (Agreement storage agreement_)
    {
        agreement_ = _agreements[agreement];
        agreement_.payer = mandate.payer;
        agreement_.firstCounter = mandate.firstCounter;
        agreement_.pausedBefore = _totals.pausedTotal;
        agreement_.device = mandate.device;
        agreement_.bond = mandate.bond;
        agreement_.terms = Terms({
            payee: mandate.payee,
            cap: mandate.cap,
            window: mandate.window,
            periodDays: mandate.periodDays
        });
        Live memory live = Live({
            sequence: 0,
            lastCounter: mandate.firstCounter,
            escrow: 0,
            spent: 0,
            periodStart: uint32(block.timestamp),
            expiry: mandate.expiry,
            product: product,
            requiredDomain: mandate.requiredDomain,
            status: Status.Live
        });
        _storeLive(agreement_.live, live);
    }

    /// @dev The longest of what rail, window and product want.
    function _grace(uint32 wanted, uint32 window) private pure returns (uint32) {
        if (wanted < MIN_GRACE) wanted = MIN_GRACE;
        if (wanted < window) wanted = window;
        return wanted < type(uint24).max ? wanted : type(uint24).max;
    }
}
