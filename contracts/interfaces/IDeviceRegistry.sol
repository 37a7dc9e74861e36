// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Device to key history, owner and status; it answers which key was valid when.
/// @notice A device signs SHA-256 digests, as secure elements do:
///   enrolment: sha256(abi.encode("proofrail/enrol/v1", chainid, registry, device, owner))
///   rotation:  sha256(abi.encode("proofrail/rotate/v1", chainid, registry, device, uint8 curve,
///              x, y, uint40 expiresAt, number of keys so far)), signed by the old key and by the
///              new one.
/// Times are block timestamps. A change at time t holds from t on, t included.
/// A key may have an end, as the certificate behind it has: from then on the device is Expired,
/// until its next key comes. What it signed before stays good.
/// Warning: possession of a key is proved, its custody is not; the endorsement says who vouched.
/// Warning: an expired key still signs its own successor; `suspend` stops that too.
/// Warning: the registrar and the device's owner can stop a device at will, and date a compromise
/// back. The warden can suspend, nothing else.
interface IDeviceRegistry {
    enum Curve {
        P256,
        K1
    }

    enum Status {
        None,
        Active,
        Suspended,
        Revoked,
        Compromised,
        Expired
    }

    event DeviceEnrolled(
        bytes32 indexed device,
        uint8 curve,
        bytes32 x,
        bytes32 y,
        address owner,
        bytes32 endorsement,
        uint40 expiresAt,
        uint40 at
    );
    event KeyRotated(
        bytes32 indexed device, uint8 curve, bytes32 x, bytes32 y, uint40 expiresAt, uint40 at
    );
    event DeviceSuspended(bytes32 indexed device, uint40 at);
    event DeviceResumed(bytes32 indexed device, uint40 at);
    event DeviceRevoked(bytes32 indexed device, uint40 at);
    event CompromiseDeclared(bytes32 indexed device, uint40 since, uint40 at);

    error NotRegistrar(address caller);
    error NotInCharge(address caller, bytes32 device);
    error DeviceExists(bytes32 device);
    error DeviceUnknown(bytes32 device);
    error DeviceInStatus(bytes32 device, Status status);
    error OwnerMissing();
    error KeyTaken(bytes32 x, bytes32 y);
    error KeyExpiryInvalid(uint40 expiresAt);
    error PossessionUnproven(bytes32 device);
    error RotationUnsigned(bytes32 device);
    error CompromiseDateInvalid(uint40 since);

    /// Enrols a device whose key signed the enrolment digest. Only the registrar; one device per
    /// key, for ever. `endorsement`: a hash of what vouches for it (a certificate, a type
    /// approval). `expiresAt`: Unix seconds, the key's end; 0: never.
    function enrol(
        bytes32 device,
        Curve curve,
        bytes32 x,
        bytes32 y,
        address owner,
        bytes32 endorsement,
        uint40 expiresAt,
        bytes32 r,
        bytes32 s
    ) external;

    /// Replaces an active or expired device's key. Anyone may hand it in: both signatures are the
    /// authority. `expiresAt`: the new key's end; 0: never.
    function rotate(
        bytes32 device,
        Curve curve,
        bytes32 x,
        bytes32 y,
        uint40 expiresAt,
        bytes32 rOld,
        bytes32 sOld,
        bytes32 rNew,
        bytes32 sNew
    ) external;

    /// Silences an active or expired device. The registrar, the device's owner or the warden.
    function suspend(bytes32 device) external;

    /// Lets a suspended device speak again. Only the registrar.
    function resume(bytes32 device) external;

    /// Ends a device for ever. The registrar or the device's owner.
    function revoke(bytes32 device) external;

    /// Says that the device's word is worth nothing from `since` (in the past) on; ends the device.
    /// May be dated further back later, never forward. The registrar or the device's owner.
    function declareCompromised(bytes32 device, uint40 since) external;

    /// The status of a device at a time, and its key then. The key may sign only where Active.
    function keyAt(bytes32 device, uint40 time)
        external
        view
        returns (Status status, Curve curve, bytes32 x, bytes32 y);

    /// Whether `keyAt(device, time)` is Active; one storage slot where nothing changed since.
    function activeAt(bytes32 device, uint40 time) external view returns (bool);

    /// Whether a device may sign now.
    function isActive(bytes32 device) external view returns (bool);

    /// From when on the device's word is worth nothing, in Unix seconds; 0: no compromise known.
    function compromisedSince(bytes32 device) external view returns (uint40);

    function ownerOf(bytes32 device) external view returns (address);
    function keyCount(bytes32 device) external view returns (uint256);

    /// Who enrols devices, and who may silence one when two of its records contradict each other.
    function registrar() external view returns (address);
    function warden() external view returns (address);

    /// Whether the known-answer test found the EIP-7951 precompile when the registry was deployed.
    function hasPrecompile() external view returns (bool);

    /// Whether (x, y) signed `digest`. High-s twins count as the signature that they are.
    function verify(Curve curve, bytes32 x, bytes32 y, bytes32 digest, bytes32 r, bytes32 s)
        external
        view
        returns (bool);
}
