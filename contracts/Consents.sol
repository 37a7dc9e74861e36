// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IConsents} from "./interfaces/IConsents.sol";
import {IDeviceRegistry} from "./interfaces/IDeviceRegistry.sol";
import {IPaymentRail} from "./interfaces/IPaymentRail.sol";
import {IRailErrors} from "./interfaces/IRailErrors.sol";
import {IRailEvents} from "./interfaces/IRailEvents.sol";
import {Claims} from "./libraries/Claims.sol";
import {Rows} from "./libraries/Rows.sol";
import {Schedules} from "./libraries/Schedules.sol";
import {Traits} from "./libraries/Traits.sol";

/// @title Consents: bounds of mandates, and the signatures of parties and owners.
/// @notice IConsents documents it. It holds no money and decides nothing by itself.
contract Consents is IConsents {
    using Claims for IRailEvents.Mandate;

    /// @notice The longest dispute window that a mandate may have, in seconds.
    uint32 public constant MAX_WINDOW = 90 days;
    /// @notice The highest bond that a mandate may have, token minor units.
    uint48 public constant MAX_BOND = 100e6;
    /// @notice How far before the opening an agreement may start, in seconds.
    uint32 public constant MAX_LOOKBACK = 400 days;

    /// @notice In whose domain everything is signed.
    address public immutable rail;
    /// @notice What the rail pays in.
    address public immutable token;
    /// @notice Who owns devices.
    IDeviceRegistry public immutable registry;
    /// @inheritdoc IConsents
    mapping(bytes32 device => uint256) public consentNumber;

    constructor(address rail_, address token_, IDeviceRegistry registry_) {
        rail = rail_;
        token = token_;
        registry = registry_;
    }

    /// @inheritdoc IConsents
    function revokeConsents(bytes32 device) external {
        // check
        if (msg.sender != registry.ownerOf(device)) revert NotOwner(msg.sender, device);
        // effect, event
        emit ConsentsRevoked(device, ++consentNumber[device]);
    }

    /// @inheritdoc IConsents
    function requireAgreed(
        IRailEvents.Mandate calldata mandate,
        bytes calldata signature,
        bytes calldata consent,
        address caller,
        uint8 traits
    ) external view returns (bytes32 agreement, uint32 start) {
        _requireParties(mandate, traits);
        agreement = mandate.hash();
        start = mandate.start == 0 ? uint32(block.timestamp) : mandate.start;
        _requireBounds(mandate, start);
        if (!_signed(mandate.payer, agreement, signature)) {
            revert MandateSignatureInvalid(mandate.payer);
        }
        address owner = registry.ownerOf(mandate.device);
        if (owner == mandate.payer || owner == caller) return (agreement, start);
        bytes32 asked = Claims.consent(
            mandate.device,
            mandate.product,
            traits & Traits.SHARED != 0 ? bytes32(0) : agreement,
            consentNumber[mandate.device]
        );
        if (!_signed(owner, asked, consent)) revert OwnerDidNotConsent(mandate.device, owner);
    }

    /// @inheritdoc IConsents
    function requireSkipSigned(
        bytes32 agreement,
        uint32 sequence,
        uint40 lastCounter,
        address payer,
        address payee,
        bytes calldata payerSignature,
        bytes calldata payeeSignature
    ) external view {
        bytes32 asked = Claims.skip(agreement, sequence, lastCounter);
        if (!_signed(payer, asked, payerSignature)) revert SkipUnsigned(payer);
        if (!_signed(payee, asked, payeeSignature)) revert SkipUnsigned(payee);
    }

    function _requireParties(IRailEvents.Mandate calldata mandate, uint8 traits) private view {
        address payee = mandate.payee;
        if (traits & Traits.ANY_PAYEE != 0) {
            if (payee != address(0)) revert IRailErrors.PayeeUnexpected(payee);
        } else if (payee == address(0)) {
            revert IRailErrors.PayeeMissing();
        }
        if (payee == rail || payee == IPaymentRail(rail).disputes() || payee == token) {
            revert IRailErrors.PayeeInvalid(payee);
        }
        if (mandate.firstCounter > Rows.MOST_COUNTER) {
            revert IRailErrors.CounterTooLarge(mandate.firstCounter);
        }
        if (!registry.isActive(mandate.device)) {
            revert IRailErrors.DeviceNotActive(mandate.device);
        }
    }

    function _requireBounds(IRailEvents.Mandate calldata mandate, uint32 start) private view {
        if (mandate.expiry <= block.timestamp) revert MandateExpired(mandate.expiry);
        if (start > mandate.expiry || uint256(start) + MAX_LOOKBACK < block.timestamp) {
            revert StartOutOfRange(start);
        }
        if (mandate.window > MAX_WINDOW) revert WindowTooLong(mandate.window, MAX_WINDOW);
        if (mandate.bond == 0 || mandate.bond > MAX_BOND) {
            revert BondOutOfRange(mandate.bond, MAX_BOND);
        }
        if (!Schedules.known(mandate.schedule)) revert ScheduleInvalid(mandate.schedule);
        if (mandate.fleet != 0) revert FleetUnsupported(mandate.fleet);
    }

    function _signed(address signer, bytes32 structHash, bytes calldata signature)
        private
        view
        returns (bool)
    {
        bytes32 digest = MessageHashUtils.toTypedDataHash(Claims.domain(rail), structHash);
        return SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature);
    }
}
