// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {Consents} from "../Consents.sol";
import {IConsents} from "../interfaces/IConsents.sol";
import {IDeviceWatcher} from "../interfaces/IDeviceWatcher.sol";
import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {Claims} from "../libraries/Claims.sol";
import {Row, Rows} from "../libraries/Rows.sol";
import {Traits} from "../libraries/Traits.sol";
import {RailPayouts} from "./RailPayouts.sol";

/// @title The life of an agreement and its escrow: open, fund, close, skip, reclaim.
/// @notice Only `open` looks at the pause.
abstract contract RailAgreements is RailPayouts {
    using SafeERC20 for IERC20;

    /// @notice The least time from an agreement's end to the return of its escrow, in seconds.
    uint32 public constant MIN_GRACE = 1 days;
    /// @notice The most that funding may bring an escrow to, token minor units.
    uint48 public constant MAX_ESCROW = uint48(Rows.MOST_MONEY / 2);

    /// @inheritdoc IPaymentRail
    address public immutable consents;

    constructor() {
        consents = address(new Consents(address(this), address(token), registry));
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
        if (!product.allowed) revert ProductNotAllowed(mandate.product);
        uint32 start;
        (agreement, start) =
            IConsents(consents).requireAgreed(
                mandate, signature, consent, msg.sender, product.traits
            );
        if (_agreements[agreement].group != 0) revert AgreementExists(agreement);
        if (!shared) _checkAlone(mandate.device, start);
        // interaction: a listed product, under the lock; its answer belongs to what is stored
        (uint32 grace, uint256 terms, uint80 note) =
            IProduct(mandate.product).open(agreement, mandate.device, start, mandate.terms);
        // effect
        grace = _grace(grace, mandate.window);
        bool steady = product.traits & Traits.STEADY != 0 && !shared
            && registry.steadySince(mandate.device) <= start;
        if (!shared) _succeed(mandate.device, agreement);
        _store(agreement, mandate, product.index, grace);
        _agreements[agreement].group = _group(mandate, terms);
        uint256 period = _periodNow(mandate.periodDays);
        uint256 lastDay = mandate.expiry / 1 days;
        _storeRow(agreement, Rows.fresh(mandate.firstCounter, period, lastDay, steady, note));
        // event
        emit AgreementOpened(agreement, mandate.payer, mandate.payee, start, grace, mandate);
    }

    /// @inheritdoc IPaymentRail
    function close(bytes32 agreement) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        Row row = _row(agreement);
        // check
        if (!row.isLive()) revert AgreementIsNotLive(agreement);
        if (msg.sender != agreement_.payer && msg.sender != registry.ownerOf(agreement_.device)) {
            revert NotParty(msg.sender);
        }
        // effect
        if (block.timestamp < agreement_.expiry) {
            agreement_.expiry = uint32(block.timestamp);
            _storeRow(agreement, row.withExpiryDay(block.timestamp / 1 days));
        }
        // event
        emit AgreementClosed(agreement, agreement_.expiry);
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
        Row row = _row(agreement);
        address payee = agreement_.payee;
        if (payee == address(0)) payee = registry.ownerOf(agreement_.device);
        bool passes = lastCounter > row.counter(); // without counters no record is passed over
        // check
        if (!row.isLive()) revert AgreementIsNotLive(agreement);
        if (sequence != row.sequence() + 1 || lastCounter < row.counter()) {
            revert SkipInvalid(agreement, sequence);
        }
        if (sequence > Rows.MOST_SEQUENCE || !Rows.isCounter(lastCounter)) {
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
        // interaction: a product that fails must not keep the agreement from going on
        if (passes) {
            try IProduct(_productOf(agreement_)).skipped(agreement, row.note()) returns (uint80 n) {
                row = row.withNote(n);
            } catch {}
        }
        // effect
        _storeRow(agreement, row.withSequence(sequence).withCounter(lastCounter));
        // event: last, since its gas is what a relayer who starves the product would lack
        emit ClaimSkipped(agreement, sequence, lastCounter);
    }

    /// @inheritdoc IDeviceWatcher
    function deviceChanged(bytes32 device) external {
        // resolve
        bytes32 agreement = agreementOf[device];
        // check
        if (msg.sender != address(registry)) revert NotRegistry(msg.sender);
        // effect
        if (agreement != 0) _storeRow(agreement, _row(agreement).unsteady());
    }

    /// @inheritdoc IPaymentRail
    function reclaim(bytes32 agreement) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        address payer = agreement_.payer;
        Row row = _row(agreement);
        uint256 amount = row.escrow();
        uint256 endsAt = _endsAt(agreement_);
        // check
        if (block.timestamp <= endsAt) revert NotYetDue(uint32(endsAt));
        if (!row.isLive() && amount == 0) revert NothingDue(payer);
        // effect
        _storeRow(agreement, row.closed().withEscrow(0));
        agreement_.cameIn -= uint64(amount);
        _totals.escrow -= uint64(amount);
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
        Row row = _row(agreement);
        bool live = row.isLive() && block.timestamp <= _endsAt(agreement_);
        if (!live) revert AgreementIsNotLive(agreement);
        _checkRoom(agreement_, row, amount);
        // interaction: first, since only what really arrived is booked
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 arrived = token.balanceOf(address(this)) - before;
        if (arrived != amount) revert BalanceShort(arrived, amount);
        // effect
        _addEscrow(agreement, _row(agreement), amount);
        // event
        emit EscrowFunded(agreement, amount);
    }

    /// @inheritdoc IPaymentRail
    function onMint(bytes32 agreement, uint256 amount) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        // check
        if (msg.sender != address(token)) revert NotToken(msg.sender);
        _checkRoom(agreement_, _row(agreement), amount);
        // effect
        _addEscrow(agreement, _row(agreement), amount);
        // event
        emit EscrowFunded(agreement, amount);
    }

    /// @dev Of a device that serves one agreement at a time, facts belong to one agreement.
    function _checkAlone(bytes32 device, uint32 start) private view {
        bytes32 current = agreementOf[device];
        if (current == 0) return;
        uint32 expiry = _agreements[current].expiry;
        if (block.timestamp <= expiry) revert DeviceHasAgreement(device, current);
        if (start <= expiry) revert StartOutOfRange(start);
    }

    /// @dev The device's former agreement, which may still take claims, hears of no change any more.
    function _succeed(bytes32 device, bytes32 agreement) private {
        bytes32 former = agreementOf[device];
        if (former != 0) _storeRow(former, _row(former).unsteady());
        agreementOf[device] = agreement;
    }

    function _store(bytes32 agreement, Mandate calldata mandate, uint8 product, uint32 grace)
        private
    {
        Agreement storage agreement_ = _agreements[agreement];
        agreement_.payer = mandate.payer;
        agreement_.firstCounter = mandate.firstCounter;
        agreement_.pausedBefore = _totals.pausedTotal;
        agreement_.grace = uint24(grace);
        agreement_.device = mandate.device;
        agreement_.payee = mandate.payee;
        agreement_.cap = mandate.cap;
        agreement_.window = mandate.window;
        agreement_.periodDays = mandate.periodDays;
        agreement_.bond = mandate.bond;
        agreement_.expiry = mandate.expiry;
        agreement_.product = product;
        agreement_.requiredDomain = mandate.requiredDomain;
    }

    function _group(Mandate calldata mandate, uint256 shared) private pure returns (bytes32) {
        Group memory group = Group({
            payee: mandate.payee,
            cap: mandate.cap,
            periodDays: mandate.periodDays,
            window: mandate.window,
            requiredDomain: mandate.requiredDomain,
            shared: shared
        });
        return Claims.group(mandate.product, group);
    }

    /// @dev Half of what a row can hold, the other half is for what comes back of charges. And never
    /// more came in than a row can hold: else several charges that come back would not fit.
    function _checkRoom(Agreement storage agreement_, Row row, uint256 amount) private view {
        uint256 escrow = row.escrow();
        bool fits = escrow < MAX_ESCROW && amount <= MAX_ESCROW - escrow
            && agreement_.cameIn + amount <= Rows.MOST_MONEY;
        if (amount == 0 || !fits) revert AmountTooLarge(amount);
    }

    /// @dev The longest of what rail, window and product want.
    function _grace(uint32 wanted, uint32 window) private pure returns (uint32) {
        if (wanted < MIN_GRACE) wanted = MIN_GRACE;
        if (wanted < window) wanted = window;
        return wanted < type(uint24).max ? wanted : type(uint24).max;
    }
}
