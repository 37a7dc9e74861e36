// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {Claims} from "../libraries/Claims.sol";
import {Traits} from "../libraries/Traits.sol";
import {RailState} from "./RailState.sol";

/// @title The life of an agreement and its escrow: open, fund, close, reclaim.
/// @notice Only `open` looks at the pause.
abstract contract RailAgreements is RailState, EIP712 {
    using Claims for Mandate;
    using SafeERC20 for IERC20;

    /// @notice The longest dispute window that a mandate may have, in seconds.
    uint32 public constant MAX_WINDOW = 90 days;

    /// @inheritdoc IPaymentRail
    function open(Mandate calldata mandate, bytes calldata signature)
        external
        nonReentrant
        returns (bytes32 agreement)
    {
        // resolve
        agreement = mandate.hash();
        Agreement storage agreement_ = _agreements[agreement];
        Product memory product = _products[mandate.product];
        // check
        if (_totals.paused) revert Paused();
        if (agreement_.live.status != Status.None) revert AgreementExists(agreement);
        _checkParties(mandate, product);
        _checkMandate(mandate, agreement, signature);
        // effect
        if (product.traits & Traits.SHARED == 0) agreementOf[mandate.device] = agreement;
        agreement_.payer = mandate.payer;
        agreement_.firstCounter = mandate.firstCounter;
        agreement_.device = mandate.device;
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
            product: product.index,
            requiredDomain: mandate.requiredDomain,
            status: Status.Live
        });
        _storeLive(agreement_.live, live);
        // event
        emit AgreementOpened(
            agreement,
            mandate.payer,
            mandate.payee,
            mandate.device,
            mandate.product,
            mandate.expiry,
            mandate.firstCounter,
            mandate.terms
        );
        // interaction
        IProduct(mandate.product).open(agreement, mandate.device, mandate.terms);
    }

    /// @inheritdoc IPaymentRail
    function close(bytes32 agreement) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        uint256 soonest = block.timestamp + agreement_.terms.window;
        // check
        if (agreement_.live.status != Status.Live) revert AgreementIsNotLive(agreement);
        if (msg.sender != agreement_.payer && msg.sender != registry.ownerOf(agreement_.device)) {
            revert NotParty(msg.sender);
        }
        // effect
        if (soonest < agreement_.live.expiry) agreement_.live.expiry = uint32(soonest);
        // event
        emit AgreementClosed(agreement, agreement_.live.expiry);
    }

    /// @inheritdoc IPaymentRail
    function reclaim(bytes32 agreement) external nonReentrant {
        // resolve
        Agreement storage agreement_ = _existing(agreement);
        address payer = agreement_.payer;
        uint48 amount = agreement_.live.escrow;
        // check
        if (block.timestamp <= agreement_.live.expiry) revert NotYetDue(agreement_.live.expiry);
        if (agreement_.live.status == Status.Closed && amount == 0) revert NothingDue(payer);
        // effect
        agreement_.live.status = Status.Closed;
        agreement_.live.escrow = 0;
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
        if (agreement_.live.status != Status.Live || block.timestamp > agreement_.live.expiry) {
            revert AgreementIsNotLive(agreement);
        }
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
        bool named = mandate.payee != address(0);
        if (!product.allowed) revert ProductNotAllowed(mandate.product);
        if (product.traits & Traits.ANY_PAYEE != 0) {
            if (named) revert PayeeUnexpected(mandate.payee);
        } else if (!named) {
            revert PayeeMissing();
        }
        if (!registry.isActive(mandate.device)) revert DeviceNotActive(mandate.device);
        if (product.traits & Traits.SHARED != 0) return;
        bytes32 current = agreementOf[mandate.device];
        if (current != 0 && block.timestamp <= _agreements[current].live.expiry) {
            revert DeviceHasAgreement(mandate.device, current);
        }
    }

    function _checkMandate(Mandate calldata mandate, bytes32 agreement, bytes calldata signature)
        private
        view
    {
        if (mandate.expiry <= block.timestamp) revert MandateExpired(mandate.expiry);
        if (mandate.window > MAX_WINDOW) revert WindowTooLong(mandate.window, MAX_WINDOW);
        bytes32 digest = _hashTypedDataV4(agreement);
        if (!SignatureChecker.isValidSignatureNowCalldata(mandate.payer, digest, signature)) {
            revert MandateSignatureInvalid(mandate.payer);
        }
    }
}
