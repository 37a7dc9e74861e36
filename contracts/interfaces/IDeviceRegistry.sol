// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceAdoption} from "./IDeviceAdoption.sol";
import {IDeviceWatching} from "./IDeviceWatching.sol";

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
/// A key may follow another an hour after it, four within a day: history grows slowly, and every
/// question by time costs O(log n).
/// A compromise is declared by the owner or the registrar, for seven days back at most: longer ago
/// honest claims have been settled, and their payees should not lose what they did not cause. What
/// is older, and what undoes a declaration, the committee decides (`ruleCompromise`), and what it
/// decided stands until its next ruling.
/// Warning: the registrar and the device's owner can stop a device at will, and date a compromise
/// up to seven days back. A warden can suspend, nothing else.
interface IDeviceRegistry is IDeviceAdoption, IDeviceWatching {
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

    /// @notice The committee decided since when a device's key is stolen; replaces what was declared.
    /// @param device keccak256 of the device's name
    /// @param since from when on its signatures are worth nothing, Unix seconds; 0: it is not stolen
    /// @param number how many rulings on this device came before
    /// @param at time of the ruling
    event CompromiseRuled(bytes32 indexed device, uint40 since, uint256 number, uint40 at);

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

    /// @notice The caller does not have the role.
    /// @param caller who called
    /// @param role number of the role (libraries/Roles.sol)
    error NotInRole(address caller, uint64 role);

    /// @notice Only a registrar or the device's owner may call.
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

    /// @notice The key was replaced a moment ago, or too often within a day.
    /// @param device the device
    /// @param next when it may be replaced, Unix seconds
    error RotationTooSoon(bytes32 device, uint40 next);

    /// @notice The date is zero, in the future, or not before the one declared earlier.
    /// @param since Unix seconds
    error CompromiseDateInvalid(uint40 since);

    /// @notice The date is too far back for a declaration, or before the committee's last ruling.
    /// @param since Unix seconds
    /// @param earliest the earliest date that needs no ruling, Unix seconds
    error CompromiseNeedsRuling(uint40 since, uint40 earliest);

    /// @notice The device has no key: a gateway signs for it.
    /// @param device the device
    error DeviceWithoutKey(bytes32 device);

    /// @notice The gateway is no enrolled device with a key, or the device itself; or a device
    /// without a key would be enrolled without a gateway.
    /// @param gateway the gateway
    error GatewayInvalid(bytes32 gateway);

    /// @notice The assignment begins in the past or in more than 90 days, or ends before it begins.
    /// @param since Unix seconds; 0: now
    /// @param until Unix seconds; 0: no end
    error AssignmentTimesInvalid(uint40 since, uint40 until);

    /// @notice The device has had 32 assignments that began within 90 days before this one.
    /// @param device the device
    /// @param next when it may begin, Unix seconds
    error AssignmentTooSoon(bytes32 device, uint40 next);

    /// @notice The owner did not sign this assignment, or it counted before.
    /// @param device the device
    /// @param owner who has to sign it
    error AssignmentUnsigned(bytes32 device, address owner);

    /// @notice Enrols a device whose key signed the enrolment digest. Only a registrar; one
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
    /// authority. Not before `nextRotation`.
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
    /// device is enrolled without a key; this a registrar alone may do.
    /// @dev The owner's key signs; contracts as owners call by themselves (no ERC-1271).
    /// Warning: with `since` 0 the assignment begins when it is mined, however late that is.
    /// @param device keccak256 of the device's name
    /// @param owner the device's owner, who signed
    /// @param gateway keccak256 of the gateway's name, a device with a key; zero: none any more
    /// @param since Unix seconds, not in the past, at most 90 days ahead; 0: now
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

    /// @notice Silences an active or expired device. Only a registrar, the device's owner or a
    /// warden.
    /// @param device keccak256 of the device's name
    function suspend(bytes32 device) external;

    /// @notice Lets a suspended device sign again. Only a registrar.
    /// @param device keccak256 of the device's name
    function resume(bytes32 device) external;

    /// @notice Ends a device for ever. Only a registrar or the device's owner.
    /// @param device keccak256 of the device's name
    function revoke(bytes32 device) external;

    /// @notice Declares that the device's signatures are worth nothing from a time on; ends the
    /// device. May be dated further back later, never forward. Only a registrar or the device's
    /// owner. Not before `declarableFrom`.
    /// @param device keccak256 of the device's name
    /// @param since Unix seconds, not in the future
    function declareCompromised(bytes32 device, uint40 since) external;

    /// @notice Sets or takes back since when a device's key is stolen, as the committee's quorum
    /// decided. Anyone may call.
    /// @dev Oracles sign EIP-712 "Compromise(address registry,bytes32 device,uint40 since,uint256
    /// number)" of the committee, `number` being `compromiseRulings`: a ruling counts once.
    /// @param device keccak256 of the device's name
    /// @param since Unix seconds, not in the future; 0: the key is not stolen
    /// @param signatures of oracles over the ruling, in any order
    function ruleCompromise(bytes32 device, uint40 since, bytes[] calldata signatures) external;

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
    /// @dev Counts the gateways of the last 90 days, as long as a payment may be disputed, so that
    /// no owner can make the answer unaffordable. `keyAt` and `activeAt` know all of them.
    /// @param device keccak256 of the device's name
    /// @return since Unix seconds; 0: no compromise is declared
    function compromisedSince(bytes32 device) external view returns (uint40 since);

    /// @notice Says how far back a compromise may be declared now; earlier dates need a ruling.
    /// @param device keccak256 of the device's name
    /// @return since Unix seconds
    function declarableFrom(bytes32 device) external view returns (uint40 since);

    /// @notice Says how many rulings on a compromise a device has had: the number that oracles sign
    /// next.
    /// @param device keccak256 of the device's name
    /// @return count the number of rulings
    function compromiseRulings(bytes32 device) external view returns (uint256 count);

    /// @notice Says from when on a device's key may be replaced.
    /// @param device keccak256 of the device's name
    /// @return time Unix seconds; 0: at once
    function nextRotation(bytes32 device) external view returns (uint40 time);

    /// @notice Says who owns a device.
    /// @param device keccak256 of the device's name
    /// @return owner its owner; zero: no such device
    function ownerOf(bytes32 device) external view returns (address owner);

    /// @notice Says how many keys a device has had here.
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

    /// @notice Says which committee rules on compromises.
    /// @return oracles its address
    function committee() external view returns (address oracles);


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
