// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IPaymentRail} from "./interfaces/IPaymentRail.sol";
import {IProduct} from "./interfaces/IProduct.sol";
import {Claims} from "./libraries/Claims.sol";
import {Traits} from "./libraries/Traits.sol";
import {RailBooks} from "./rail/RailBooks.sol";
import {RailSettlement} from "./rail/RailSettlement.sol";

/// @title The rail of IPaymentRail, where the prose is.
contract PaymentRail is RailSettlement, EIP712 {
    using Claims for Mandate;
    using SafeERC20 for IERC20;

    uint32 public constant MAX_WINDOW = 90 days;

    constructor(
        address steward_,
        address guardian_,
        address token_,
        address committee_,
        address registry_
    ) RailBooks(steward_, guardian_, token_, committee_, registry_) EIP712("proofrail", "1") {}

    function open(Mandate calldata mandate, bytes calldata signature)
        external
        nonReentrant
        returns (bytes32 agreement)
    {
        // resolve
        agreement = mandate.hash();
        Agreement storage one = _agreements[agreement];
        Product memory product = _products[mandate.product];
        // check
        if (_books.paused) revert Paused();
        if (one.hot.status != Status.None) revert AgreementExists(agreement);
        _checkParties(mandate, product);
        _checkMandate(mandate, agreement, signature);
        // effect
        if (product.traits & Traits.SHARED == 0) agreementOf[mandate.device] = agreement;
        one.payer = mandate.payer;
        one.firstCounter = mandate.firstCounter;
        one.device = mandate.device;
        one.terms = Terms({
            payee: mandate.payee,
            cap: mandate.cap,
            window: mandate.window,
            periodDays: mandate.periodDays
        });
        Hot memory hot = Hot({
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
        _storeHot(one.hot, hot);
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

    function close(bytes32 agreement) external nonReentrant {
        // resolve
        Agreement storage one = _known(agreement);
        uint256 soonest = block.timestamp + one.terms.window;
        // check
        if (one.hot.status != Status.Live) revert AgreementIsNotLive(agreement);
        if (msg.sender != one.payer && msg.sender != registry.ownerOf(one.device)) {
            revert NotParty(msg.sender);
        }
        // effect
        if (soonest < one.hot.expiry) one.hot.expiry = uint32(soonest);
        // event
        emit AgreementClosed(agreement, one.hot.expiry);
    }

    function reclaim(bytes32 agreement) external nonReentrant {
        // resolve
        Agreement storage one = _known(agreement);
        address payer = one.payer;
        uint48 amount = one.hot.escrow;
        // check
        if (block.timestamp <= one.hot.expiry) revert NotYetDue(one.hot.expiry);
        if (one.hot.status == Status.Closed && amount == 0) revert NothingDue(payer);
        // effect
        one.hot.status = Status.Closed;
        one.hot.escrow = 0;
        _books.escrow -= amount;
        if (agreementOf[one.device] == agreement) delete agreementOf[one.device];
        // event
        emit EscrowReclaimed(agreement, payer, amount);
        // interaction
        if (amount != 0) token.safeTransfer(payer, amount);
    }

    function fund(bytes32 agreement, uint256 amount) external nonReentrant {
        // resolve
        Agreement storage one = _known(agreement);
        uint256 before = token.balanceOf(address(this));
        // check
        if (one.hot.status != Status.Live || block.timestamp > one.hot.expiry) {
            revert AgreementIsNotLive(agreement);
        }
        if (amount == 0 || amount > type(uint48).max) revert AmountTooLarge(amount);
        // interaction: first, since only what really arrived is booked
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 arrived = token.balanceOf(address(this)) - before;
        if (arrived != amount) revert BalanceShort(arrived, amount);
        // effect
        _addEscrow(one, amount);
        // event
        emit EscrowFunded(agreement, amount);
    }

    function onMint(bytes32 agreement, uint256 amount) external nonReentrant {
        // resolve
        Agreement storage one = _known(agreement);
        // check
        if (msg.sender != address(token)) revert NotToken(msg.sender);
        // effect
        _addEscrow(one, amount);
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
        bytes32 held = agreementOf[mandate.device];
        if (held != 0 && block.timestamp <= _agreements[held].hot.expiry) {
            revert DeviceHasAgreement(mandate.device, held);
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
