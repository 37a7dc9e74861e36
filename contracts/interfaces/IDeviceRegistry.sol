// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Key history, owner and status of each device; it answers which key was valid when.
/// @notice A device signs SHA-256 digests, as secure elements do:
///   enrolment: sha256(abi.encode("proofrail/enrol/v1", chainid, registry, device, owner))
///   rotation:  sha256(abi.encode("proofrail/rotate/v1", chainid, registry, device, uint8 curve,
///              x, y, uint40 expiresAt, number of keys so far)), signed by the old key and by the
///              new one.
/// A gateway signs for other devices. The owner of a device assigns it, by EIP-712 (domain
/// "proofrail", version "1", this contract) over
///   Assignment(bytes32 device,bytes32 gateway,uint40 since,uint40 until,uint256 number)
/// where `number` is the device's assignments so far: a signature counts once. A device may have no
/// key of its own; then its gateway's key of the time is its key, and it is Active where both are.
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

    /// @notice A device was enrolled.
    /// @param device keccak256 of the device's name
    /// @param curve a `Curve`
    /// @param x of its public key
    /// @param y of its public key
    /// @param owner who may stop the device
    /// @param endorsement hash of what vouches for it
    /// @param expiresAt the key's end, Unix seconds; 0: never
    /// @param at time of the enrolment
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

    /// @notice A device got its next key.
    /// @param device keccak256 of the device's name
    /// @param curve a `Curve`
    /// @param x of the new public key
    /// @param y of the new public key
    /// @param expiresAt the new key's end, Unix seconds; 0: never
    /// @param at time of the change
    event KeyRotated(
        bytes32 indexed device, uint8 curve, bytes32 x, bytes32 y, uint40 expiresAt, uint40 at
    );

    /// @notice A device was silenced.
    /// @param device keccak256 of the device's name
    /// @param at time of the change
    event DeviceSuspended(bytes32 indexed device, uint40 at);

    /// @notice A suspended device may sign again.
    /// @param device keccak256 of the device's name
    /// @param at time of the change
    event DeviceResumed(bytes32 indexed device, uint40 at);

    /// @notice A device was ended for ever.
    /// @param device keccak256 of the device's name
    /// @param at time of the change
    event DeviceRevoked(bytes32 indexed device, uint40 at);

    /// @notice A device's key was declared stolen.
    /// @param device keccak256 of the device's name
    /// @param since from when on its signatures are worth nothing, Unix seconds
    /// @param at time of the declaration
    event CompromiseDeclared(bytes32 indexed device, uint40 since, uint40 at);

    /// @notice The owner of a device said which gateway signs for it; ends what was said before.
    /// @param device keccak256 of the device's name
    /// @param gateway keccak256 of the gateway's name; zero: none from now on
    /// @param owner who said so
    /// @param since from when on, Unix seconds
    /// @param until its end, Unix seconds; 0: none
    /// @param at time of the assignment
    event GatewayAssigned(
        bytes32 indexed device,
        bytes32 indexed gateway,
        address owner,
        uint40 since,
        uint40 until,
        uint40 at
    );

    /// @notice Only the registrar may call.
    /// @param caller who called
    error NotRegistrar(address caller);

    /// @notice Only the registrar or the device's owner may call.
    /// @param caller who called
    /// @param device the device
    error NotInCharge(address caller, bytes32 device);

    /// @notice This device was enrolled before.
    /// @param device the device
    error DeviceExists(bytes32 device);

    /// @notice No such device was enrolled.
    /// @param device the device
    error DeviceUnknown(bytes32 device);

    /// @notice The device's status does not allow this.
    /// @param device the device
    /// @param status the status it has
    error DeviceInStatus(bytes32 device, Status status);

    /// @notice The owner is zero.
    error OwnerMissing();

    /// @notice This key was enrolled before, perhaps for another device.
    /// @param x of the public key
    /// @param y of the public key
    error KeyTaken(bytes32 x, bytes32 y);

    /// @notice The key's end is over already.
    /// @param expiresAt Unix seconds
    error KeyExpiryInvalid(uint40 expiresAt);

    /// @notice The new key did not sign.
    /// @param device the device
    error PossessionUnproven(bytes32 device);

    /// @notice The old key did not sign its successor.
    /// @param device the device
    error RotationUnsigned(bytes32 device);

    /// @notice The date is zero, in the future, or not before the one declared earlier.
    /// @param since Unix seconds
    error CompromiseDateInvalid(uint40 since);

    /// @notice The device has no key: a gateway signs for it.
    /// @param device the device
    error DeviceWithoutKey(bytes32 device);

    /// @notice The gateway is no enrolled device with a key, or the device itself; or a device
    /// without a key would be enrolled without a gateway.
    /// @param gateway the gateway
    error GatewayInvalid(bytes32 gateway);

    /// @notice The assignment begins in the past, or ends before it begins.
    /// @param since Unix seconds; 0: now
    /// @param until Unix seconds; 0: no end
    error AssignmentTimesInvalid(uint40 since, uint40 until);

    /// @notice The owner did not sign this assignment, or it counted before.
    /// @param device the device
    /// @param owner who has to sign it
    error AssignmentUnsigned(bytes32 device, address owner);

    /// @notice Enrols a device whose key signed the enrolment digest. Only the registrar; one
    /// device per key, for ever.
    /// @param device keccak256 of the device's name
    /// @param curve the key's curve
    /// @param x of the public key
    /// @param y of the public key
    /// @param owner who may stop the device
    /// @param endorsement hash of what vouches for it (a certificate, a type approval)
    /// @param expiresAt the key's end, Unix seconds; 0: never
    /// @param r of the key's signature
    /// @param s of the key's signature
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

    /// @notice Replaces an active or expired device's key. Anyone may call: both signatures are the
    /// authority.
    /// @param device keccak256 of the device's name
    /// @param curve the new key's curve
    /// @param x of the new public key
    /// @param y of the new public key
    /// @param expiresAt the new key's end, Unix seconds; 0: never
    /// @param rOld of the old key's signature
    /// @param sOld of the old key's signature
    /// @param rNew of the new key's signature
    /// @param sNew of the new key's signature
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

    /// @notice Says which gateway signs for a device, from when to when, and ends what was said
    /// before from then on. Anyone may call: the owner's signature is the authority. An unknown
    /// device is enrolled without a key; this the registrar alone may do.
    /// @dev The owner's key signs; contracts as owners call by themselves (no ERC-1271).
    /// Warning: with `since` 0 the assignment begins when it is mined, however late that is.
    /// @param device keccak256 of the device's name
    /// @param owner the device's owner, who signed
    /// @param gateway keccak256 of the gateway's name, a device with a key; zero: none any more
    /// @param since Unix seconds, not in the past; 0: now
    /// @param until its end, Unix seconds; 0: none
    /// @param signature of the owner, 65 bytes with low s; empty where the owner calls
    function assign(
        bytes32 device,
        address owner,
        bytes32 gateway,
        uint40 since,
        uint40 until,
        bytes calldata signature
    ) external;

    /// @notice Silences an active or expired device. Only the registrar, the device's owner or the
    /// warden.
    /// @param device keccak256 of the device's name
    function suspend(bytes32 device) external;

    /// @notice Lets a suspended device sign again. Only the registrar.
    /// @param device keccak256 of the device's name
    function resume(bytes32 device) external;

    /// @notice Ends a device for ever. Only the registrar or the device's owner.
    /// @param device keccak256 of the device's name
    function revoke(bytes32 device) external;

    /// @notice Declares that the device's signatures are worth nothing from a time on; ends the
    /// device. May be dated further back later, never forward. Only the registrar or the device's
    /// owner.
    /// @param device keccak256 of the device's name
    /// @param since Unix seconds, not in the future
    function declareCompromised(bytes32 device, uint40 since) external;

    /// @notice Reads the status of a device at a time, and its key then. The key may sign only
    /// where the status is Active. For a device without a key: the key of its gateway then, and the
    /// worse status of the two; None without a gateway.
    /// @param device keccak256 of the device's name
    /// @param time Unix seconds
    /// @return status the status at that time
    /// @return curve the key's curve
    /// @return x of the public key; zero where there was none yet
    /// @return y of the public key
    function keyAt(bytes32 device, uint40 time)
        external
        view
        returns (Status status, Curve curve, bytes32 x, bytes32 y);

    /// @notice Says whether a device might sign at a time.
    /// @dev The status of `keyAt`, for one storage slot where nothing changed since.
    /// @param device keccak256 of the device's name
    /// @param time Unix seconds
    /// @return active whether its status was Active
    function activeAt(bytes32 device, uint40 time) external view returns (bool active);

    /// @notice Says whether a device may sign now.
    /// @param device keccak256 of the device's name
    /// @return active whether its status is Active
    function isActive(bytes32 device) external view returns (bool active);

    /// @notice Says from when on the device's signatures are worth nothing; for a device without a
    /// key, also from when on a stolen gateway spoke for it.
    /// @param device keccak256 of the device's name
    /// @return since Unix seconds; 0: no compromise is declared
    function compromisedSince(bytes32 device) external view returns (uint40 since);

    /// @notice Says who owns a device.
    /// @param device keccak256 of the device's name
    /// @return owner its owner; zero: no such device
    function ownerOf(bytes32 device) external view returns (address owner);

    /// @notice Says how many keys a device has had.
    /// @param device keccak256 of the device's name
    /// @return count the number of keys, the present one included
    function keyCount(bytes32 device) external view returns (uint256 count);

    /// @notice Says which gateway may sign for a device at a time.
    /// @param device keccak256 of the device's name
    /// @param time Unix seconds
    /// @return gateway keccak256 of the gateway's name; zero: none
    function gatewayAt(bytes32 device, uint40 time) external view returns (bytes32 gateway);

    /// @notice Says how many assignments of gateways a device has had: the number that its owner
    /// signs next.
    /// @param device keccak256 of the device's name
    /// @return count the number of assignments
    function assignmentCount(bytes32 device) external view returns (uint256 count);

    /// @notice Says who enrols devices.
    /// @return account the registrar
    function registrar() external view returns (address account);

    /// @notice Says who may silence a device when two of its records contradict each other.
    /// @return account the warden
    function warden() external view returns (address account);

    /// @notice Says whether the known-answer test saw the EIP-7951 precompile when the registry was
    /// deployed.
    /// @return present whether it is there
    function hasPrecompile() external view returns (bool present);

    /// @notice Checks a device's signature. High-s twins count as the signature that they are.
    /// @param curve the key's curve
    /// @param x of the public key
    /// @param y of the public key
    /// @param digest what was signed, SHA-256
    /// @param r of the signature
    /// @param s of the signature
    /// @return valid whether (x, y) signed `digest`
    function verify(Curve curve, bytes32 x, bytes32 y, bytes32 digest, bytes32 r, bytes32 s)
        external
        view
        returns (bool valid);
}
