// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRailEvents} from "./IRailEvents.sol";

/// @title Who agreed to what: the payer's mandate, the device owner's consent, both parties' skip.
/// @notice All are EIP-712 signatures in the rail's domain ("proofrail", "2", chain, the rail's
/// address), of an EOA, or of a contract by ERC-1271. The rail makes this contract and asks it.
interface IConsents {
    /// @notice The owner of a device voided its consents.
    /// @param device keccak256 of the device's name
    /// @param number that new consents bear
    event ConsentsRevoked(bytes32 indexed device, uint256 number);

    /// @notice Only the device's owner may call.
    /// @param caller who called
    /// @param device keccak256 of the device's name
    error NotOwner(address caller, bytes32 device);

    /// @notice The payer did not sign this mandate.
    /// @param payer the payer of the mandate
    error MandateSignatureInvalid(address payer);

    /// @notice The device's owner did not consent.
    /// @param device the device of the mandate
    /// @param owner the device's owner
    error OwnerDidNotConsent(bytes32 device, address owner);

    /// @notice Payer or payee did not sign the skip.
    /// @param signer who was to sign
    error SkipUnsigned(address signer);

    /// @notice The dispute window is longer than the rail allows.
    /// @param window seconds in the mandate
    /// @param limit the most that the rail allows
    error WindowTooLong(uint32 window, uint32 limit);

    /// @notice The mandate's expiry is over.
    /// @param expiry Unix seconds
    error MandateExpired(uint32 expiry);

    /// @notice The bond is zero or above the most that the rail allows.
    /// @param bond token minor units in the mandate
    /// @param limit the most that the rail allows
    error BondOutOfRange(uint48 bond, uint48 limit);

    /// @notice The start lies after the expiry or too far before the opening.
    /// @param start Unix seconds in the mandate
    error StartOutOfRange(uint32 start);

    /// @notice The schedule has an unknown flag.
    /// @param schedule of the mandate
    error ScheduleInvalid(uint64 schedule);

    /// @notice The rail does not take agreements about fleets.
    /// @param fleet of the mandate
    error FleetUnsupported(bytes32 fleet);

    /// @notice Voids the consents that the device's owner signed so far. Only the owner.
    /// @param device keccak256 of the device's name
    function revokeConsents(bytes32 device) external;

    /// @notice Reverts by name where a mandate is out of bounds or names parties that its product
    /// cannot have, where its device is not active, or where payer or owner did not agree.
    /// @dev The owner's consent is EIP-712 "Consent(bytes32 device,address product,bytes32
    /// agreement,uint256 number)": of a device that serves one agreement at a time for this
    /// agreement; of one that its product shares for the product, with agreement zero. `number` is
    /// `consentNumber` of the device.
    /// @param mandate what is to be opened
    /// @param signature the payer's over the mandate
    /// @param consent the owner's; empty where the owner is payer or caller
    /// @param caller who opens
    /// @param traits of the product, see libraries/Traits.sol
    /// @return agreement the mandate's struct hash
    /// @return start the first second whose facts are taken
    function requireAgreed(
        IRailEvents.Mandate calldata mandate,
        bytes calldata signature,
        bytes calldata consent,
        address caller,
        uint8 traits
    ) external view returns (bytes32 agreement, uint32 start);

    /// @notice Reverts by name where payer or payee did not sign
    /// "Skip(bytes32 agreement,uint32 sequence,uint40 lastCounter)".
    /// @param agreement id of the agreement
    /// @param sequence of the claim that is passed over
    /// @param lastCounter device counters up to it are passed over
    /// @param payer of the agreement
    /// @param payee of the agreement
    /// @param payerSignature the payer's
    /// @param payeeSignature the payee's
    function requireSkipSigned(
        bytes32 agreement,
        uint32 sequence,
        uint40 lastCounter,
        address payer,
        address payee,
        bytes calldata payerSignature,
        bytes calldata payeeSignature
    ) external view;

    /// @notice Says which number the owner's next consents for a device bear.
    /// @param device keccak256 of the device's name
    /// @return number how often consents were revoked
    function consentNumber(bytes32 device) external view returns (uint256 number);
}
