// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IDeviceAdoption} from "../interfaces/IDeviceAdoption.sol";
import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {IDeviceWatcher} from "../interfaces/IDeviceWatcher.sol";
import {IDeviceWatching} from "../interfaces/IDeviceWatching.sol";
import {Assignments} from "../libraries/Assignments.sol";
import {DeviceKeys} from "../libraries/DeviceKeys.sol";

/// @title What the registry stores, and what was true of a device at a time.
/// @notice Holds the storage and all that reads it; DeviceRegistry changes it.
abstract contract RegistryState is IDeviceRegistry, AccessManaged {
    using Assignments for Assignments.Assignment[];
    using Checkpoints for Checkpoints.Trace208;

    struct Key {
        bytes32 x;
        bytes32 y;
        Curve curve;
        uint40 since;
        uint40 expiresAt; // 0: never
    }

    /// One slot: what holds from the last change on.
    struct Latest {
        uint40 since; // of the newest key or change of status
        uint40 expiresAt;
        uint40 compromisedSince; // 0: never
        uint40 ruledAt; // when the committee last ruled on a compromise; 0: never
        Status status; // the last change's
        bool keyless; // its gateway signs for it
        uint32 assignments; // so far
        uint32 rulings; // so far
    }

    struct Device {
        Latest latest;
        address owner; // one slot with the next
        uint40 adoptedAt; // what was before it, the predecessor says; 0: enrolled here
        Key[] keys; // oldest first
        Checkpoints.Trace208 statuses; // by the time from which on each holds
        Assignments.Assignment[] assignments; // oldest first, no two of one time
    }

    /// @dev What is claimed for the time before it, and paid, stands without a ruling.
    uint40 private constant REACH = 7 days;
    uint40 private constant ROTATION_PAUSE = 1 hours;
    uint256 private constant ROTATIONS_A_DAY = 4;

    uint256 private constant MOST_WATCHERS = 8; // each of them costs every change

    /// @inheritdoc IDeviceRegistry
    address public immutable committee;
    /// @inheritdoc IDeviceRegistry
    bool public immutable hasPrecompile;
    /// @inheritdoc IDeviceAdoption
    address public immutable predecessor;
    mapping(bytes32 device => Device) internal _devices;
    mapping(bytes32 keyHash => bool) internal _keyTaken;
    /// @inheritdoc IDeviceWatching
    address[] public watchers;
    mapping(address watcher => bool) private _watches;

    constructor(address access, address committee_, address predecessor_) AccessManaged(access) {
        committee = committee_;
        predecessor = predecessor_;
        hasPrecompile = DeviceKeys.precompileAnswers();
    }

    /// @inheritdoc IDeviceWatching
    function watch(address watcher) external restricted {
        // check
        bool fits = watchers.length < MOST_WATCHERS;
        if (!fits || _watches[watcher] || watcher.code.length == 0) revert WatcherInvalid(watcher);
        // effect
        _watches[watcher] = true;
        watchers.push(watcher);
        // event
        emit WatcherAdded(watcher);
    }

    /// @inheritdoc IDeviceWatching
    function steadySince(bytes32 device) external view returns (uint40 since) {
        bool hears = _watches[msg.sender];
        return hears && _isSteady(device) ? _devices[device].latest.since : type(uint40).max;
    }

    /// @inheritdoc IDeviceRegistry
    function keyAt(bytes32 device, uint40 time)
        public
        view
        returns (Status status, Curve curve, bytes32 x, bytes32 y)
    {
        Device storage device_ = _devices[device];
        if (_isBeforeAdoption(device_, time)) return _keyBefore(device, time);
        if (device_.latest.keyless) status = _statusBehindGateway(device_, time);
        else status = activeAt(device, time) ? Status.Active : _statusAt(device_, time);
        bytes32 signer = device_.latest.keyless ? device_.assignments.gatewayAt(time) : device;
        Key[] storage keys = _devices[signer].keys;
        uint256 count = _keysBy(keys, time);
        if (count == 0) return (status, Curve.P256, 0, 0);
        Key storage key = keys[count - 1];
        return (status, key.curve, key.x, key.y);
    }

    /// @inheritdoc IDeviceRegistry
    function activeAt(bytes32 device, uint40 time) public view returns (bool) {
        Device storage device_ = _devices[device];
        Latest storage latest = device_.latest;
        if (_isBeforeAdoption(device_, time)) {
            return _before().activeAt(device, time) && !_stolenBefore(device, time);
        }
        if (latest.keyless) return _statusBehindGateway(device_, time) == Status.Active;
        if (time < latest.since) return _statusAt(device_, time) == Status.Active;
        bool ended = latest.expiresAt != 0 && time >= latest.expiresAt;
        bool stolen = latest.compromisedSince != 0 && time >= latest.compromisedSince;
        return latest.status == Status.Active && !ended && !stolen;
    }

    /// @inheritdoc IDeviceRegistry
    function isActive(bytes32 device) external view returns (bool) {
        return activeAt(device, _now());
    }

    /// @inheritdoc IDeviceRegistry
    function compromisedSince(bytes32 device) external view returns (uint40 since) {
        Device storage device_ = _devices[device];
        since = device_.latest.compromisedSince;
        if (!device_.latest.keyless) return since;
        Assignments.Assignment[] storage list = device_.assignments;
        for (uint256 i = list.length; i > 0 && list.recent(i - 1, _now()); --i) {
            uint40 stolen = _devices[list[i - 1].gateway].latest.compromisedSince;
            if (stolen != 0) stolen = list.holdsFrom(i - 1, stolen);
            bool begun = stolen != 0 && stolen <= _now();
            if (begun && (since == 0 || stolen < since)) since = stolen;
        }
    }

    /// @inheritdoc IDeviceRegistry
    function declarableFrom(bytes32 device) public view returns (uint40 since) {
        uint40 ruledAt = _devices[device].latest.ruledAt;
        since = _now() - REACH;
        if (since < ruledAt) since = ruledAt;
    }

    /// @inheritdoc IDeviceRegistry
    function compromiseRulings(bytes32 device) external view returns (uint256 count) {
        return _devices[device].latest.rulings;
    }

    /// @inheritdoc IDeviceRegistry
    function nextRotation(bytes32 device) external view returns (uint40 time) {
        return _nextRotation(_devices[device].keys);
    }

    /// @inheritdoc IDeviceRegistry
    function gatewayAt(bytes32 device, uint40 time) external view returns (bytes32) {
        Device storage device_ = _devices[device];
        if (_isBeforeAdoption(device_, time)) return _before().gatewayAt(device, time);
        return device_.assignments.gatewayAt(time);
    }

    /// @inheritdoc IDeviceRegistry
    function assignmentCount(bytes32 device) external view returns (uint256) {
        return _devices[device].latest.assignments;
    }

    /// @inheritdoc IDeviceRegistry
    function ownerOf(bytes32 device) external view returns (address) {
        return _devices[device].owner;
    }

    /// @inheritdoc IDeviceAdoption
    function adoptedAt(bytes32 device) external view returns (uint40) {
        return _devices[device].adoptedAt;
    }

    /// @inheritdoc IDeviceRegistry
    function keyCount(bytes32 device) external view returns (uint256) {
        return _devices[device].keys.length;
    }

    /// @inheritdoc IDeviceRegistry
    function verify(Curve curve, bytes32 x, bytes32 y, bytes32 digest, bytes32 r, bytes32 s)
        public
        view
        returns (bool)
    {
        if (curve == Curve.K1) return DeviceKeys.verifyK1(digest, r, s, x, y);
        return DeviceKeys.verifyP256(hasPrecompile, digest, r, s, x, y);
    }

    function _keepKey(Device storage device_, Key memory key) internal {
        bytes32 keyHash = keccak256(abi.encode(key.curve, key.x, key.y));
        if (_keyTaken[keyHash]) revert KeyTaken(key.x, key.y);
        _keyTaken[keyHash] = true;
        device_.keys.push(key);
        device_.latest.expiresAt = key.expiresAt;
    }

    /// @dev Reports to the watchers where the device is no longer active for good.
    function _report(bytes32 device) internal {
        if (_isSteady(device)) return;
        uint256 count = watchers.length;
        for (uint256 i; i < count; ++i) IDeviceWatcher(watchers[i]).deviceChanged(device);
    }

    /// @dev Whether it is active until something is said of it, independent of any gateway.
    function _isSteady(bytes32 device) private view returns (bool) {
        Latest storage latest = _devices[device].latest;
        return latest.status == Status.Active && !latest.keyless && latest.expiresAt == 0
            && latest.compromisedSince == 0;
    }

    function _change(Device storage device_, Status status) internal {
        device_.statuses.push(_now(), uint208(status));
        device_.latest.since = _now();
        device_.latest.status = status;
    }

    /// @dev As `keyAt`, of a time before the adoption. A theft that is declared here counts too.
    function _keyBefore(bytes32 device, uint40 time)
        private
        view
        returns (Status status, Curve curve, bytes32 x, bytes32 y)
    {
        (status, curve, x, y) = _before().keyAt(device, time);
        if (status != Status.None && _stolenBefore(device, time)) status = Status.Compromised;
    }

    /// @dev An adoption is a change: a time since the newest change costs no look at the adoption's.
    function _isBeforeAdoption(Device storage device_, uint40 time) private view returns (bool) {
        return time < device_.latest.since && time < device_.adoptedAt;
    }

    function _stolenBefore(bytes32 device, uint40 time) private view returns (bool) {
        if (_stolen(device, time)) return true;
        return _devices[device].latest.keyless && _stolen(_before().gatewayAt(device, time), time);
    }

    function _stolen(bytes32 device, uint40 time) private view returns (bool) {
        uint40 since = _devices[device].latest.compromisedSince;
        return since != 0 && time >= since;
    }

    function _before() internal view returns (IDeviceRegistry) {
        return IDeviceRegistry(predecessor);
    }

    function _statusAt(Device storage device_, uint40 time) internal view returns (Status) {
        Status status = Status(uint8(device_.statuses.upperLookupRecent(time)));
        if (status == Status.None) return status;
        uint40 compromised = device_.latest.compromisedSince;
        if (compromised != 0 && time >= compromised) return Status.Compromised;
        if (status != Status.Active) return status;
        uint256 count = _keysBy(device_.keys, time);
        uint40 end = count == 0 ? 0 : device_.keys[count - 1].expiresAt;
        return end != 0 && time >= end ? Status.Expired : Status.Active;
    }

    /// @dev Of a device without a key: the worse of its own status and its gateway's.
    function _statusBehindGateway(Device storage device_, uint40 time)
        internal
        view
        returns (Status)
    {
        Status own = _statusAt(device_, time);
        Status other = _statusAt(_devices[device_.assignments.gatewayAt(time)], time);
        if (other == Status.Compromised) return other;
        return own == Status.Active ? other : own;
    }

    /// @dev How many keys there were at a time, found in O(log n): whoever holds a device decides how
    /// many there are in all. Steps back from the newest, since most questions are about lately.
    function _keysBy(Key[] storage keys, uint40 time) internal view returns (uint256 count) {
        uint256 high = keys.length; // all from here on are newer
        uint256 step = 1;
        while (step <= high && keys[high - step].since > time) {
            high -= step;
            step *= 2;
        }
        if (step <= high) count = high - step + 1;
        while (count < high) {
            uint256 middle = (count + high) / 2;
            if (keys[middle].since <= time) count = middle + 1;
            else high = middle;
        }
    }

    /// @dev When a key may be followed by the next: an hour after the last rotation, and a day
    /// after the fourth last. The key of the enrolment may be replaced at once.
    function _nextRotation(Key[] storage keys) internal view returns (uint40 time) {
        uint256 length = keys.length;
        if (length > 1) time = keys[length - 1].since + ROTATION_PAUSE;
        if (length <= ROTATIONS_A_DAY) return time;
        uint40 dayOver = keys[length - ROTATIONS_A_DAY].since + 1 days;
        if (time < dayOver) time = dayOver;
    }

    function _now() internal view returns (uint40) {
        return uint40(block.timestamp);
    }
}
