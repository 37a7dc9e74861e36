// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IChallenges} from "../../contracts/interfaces/IChallenges.sol";
import {IConsents} from "../../contracts/interfaces/IConsents.sol";
import {IDeviceRegistry} from "../../contracts/interfaces/IDeviceRegistry.sol";
import {IDisputes} from "../../contracts/interfaces/IDisputes.sol";
import {IEuroToken} from "../../contracts/interfaces/IEuroToken.sol";
import {IOfficerRegistry} from "../../contracts/interfaces/IOfficerRegistry.sol";
import {IOracleCommittee} from "../../contracts/interfaces/IOracleCommittee.sol";
import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {IProduct} from "../../contracts/interfaces/IProduct.sol";
import {IWaterfalls} from "../../contracts/interfaces/IWaterfalls.sol";
import {Counts} from "./Counts.sol";
import {PlainProduct} from "./PlainProduct.sol";

/// @title The contracts as they ship, the people around them, the clock, and chance.
/// @notice The bytecode comes from files that the runner writes, so that what is attacked is what
/// is deployed, and the campaign itself compiles in seconds.
abstract contract World is Counts {
    struct Person {
        address account;
        uint256 key;
    }

    uint256 internal constant EURO = 1e6;
    uint256 internal constant CENT = 1e4;
    uint32 internal constant DELAY = 2 days; // of the steward; the deployer has none
    uint256 internal constant MIN_DOMAINS = 2;
    uint256 internal constant DOMAINS = 3;

    IAccessManager internal access;
    IOracleCommittee internal committee;
    IOfficerRegistry internal officers;
    IDeviceRegistry internal registry;
    IDeviceRegistry internal registryBefore; // its devices can be adopted
    IEuroToken internal token;
    IPaymentRail internal rail;
    IDisputes internal disputes;
    IConsents internal consents;
    IChallenges internal challenges;
    IWaterfalls internal waterfalls;
    IProduct internal energy;
    IProduct internal delivery;
    IProduct internal voucher;
    IProduct internal fleet;
    IProduct internal plain;
    IProduct[] internal leaves; // of Index

    Person[] internal payers;
    Person[] internal payees;
    Person[] internal owners;
    Person[] internal oracles; // all that ever may be seated
    address internal steward;
    address internal guardian;
    address internal minter;
    address internal registrar;
    address internal warden;
    address internal stranger;

    uint256 internal clock = 1_800_000_000;
    uint256 internal calls;
    uint256 private _entropy;
    uint256 private _keys;

    /// @dev Each call begins at the campaign's own time, a little later than the one before.
    modifier step(uint256 seed) {
        _entropy = uint256(keccak256(abi.encode(seed, ++calls)));
        clock += _random(15 minutes);
        vm.warp(clock);
        _;
    }

    function _deployAll() internal {
        vm.warp(clock);
        for (uint256 i; i < 3; ++i) {
            payers.push(_person());
            owners.push(_person());
        }
        for (uint256 i; i < 4; ++i) {
            payees.push(_person());
        }
        for (uint256 i; i < 16; ++i) {
            oracles.push(_person());
        }
        (steward, guardian, minter) = (_person().account, _person().account, _person().account);
        (registrar, warden, stranger) = (_person().account, _person().account, _person().account);
        bytes memory holders = abi.encode(steward, guardian, minter, registrar, warden);
        access = IAccessManager(
            _deploy("RailAccess", bytes.concat(abi.encode(address(this), DELAY), holders))
        );
        (address[] memory members, uint8[] memory domains) = (new address[](5), new uint8[](5));
        for (uint256 i; i < 5; ++i) {
            (members[i], domains[i]) = (oracles[i].account, _domainOf(i));
        }
        committee = IOracleCommittee(
            _deploy("OracleCommittee", abi.encode(access, members, domains, MIN_DOMAINS))
        );
        address[] memory seated = new address[](2);
        (seated[0], seated[1]) = (owners[0].account, owners[1].account);
        officers = IOfficerRegistry(_deploy("OfficerRegistry", abi.encode(access, seated)));
        registryBefore = _registry(address(0));
        registry = _registry(address(registryBefore));
        token = IEuroToken(_deploy("EuroToken", abi.encode(access)));
        rail = IPaymentRail(_deploy("PaymentRail", abi.encode(access, token, committee, registry)));
        (disputes, consents) = (IDisputes(rail.disputes()), IConsents(rail.consents()));
        challenges =
            IChallenges(_deploy("Challenges", abi.encode(rail, token, committee, registry)));
        waterfalls = IWaterfalls(_deploy("Waterfalls", abi.encode(rail, token)));
        energy = IProduct(_deploy("MeteredEnergy", abi.encode(rail, registry)));
        delivery = IProduct(_deploy("ProofOfDelivery", abi.encode(rail, registry)));
        voucher = IProduct(_deploy("WearableVoucher", abi.encode(rail, registry)));
        fleet = IProduct(_deploy("MeteredFleet", abi.encode(rail, registry)));
        plain = new PlainProduct();
        string[6] memory names = _leafNames();
        for (uint256 i; i < names.length; ++i) {
            leaves.push(IProduct(_deploy(names[i], abi.encode(rail, registry))));
        }
        require(registry.hasPrecompile(), "this chain has no P-256 precompile");
    }

    function _registry(address predecessor) private returns (IDeviceRegistry) {
        bytes memory arguments = abi.encode(access, committee, predecessor);
        return IDeviceRegistry(_deploy("DeviceRegistry", arguments));
    }

    function _leafNames() internal pure returns (string[6] memory) {
        return [
            "UsagePremium",
            "ServiceLevel",
            "EnergySavings",
            "ParametricCover",
            "MaintenanceEscrow",
            "PaygUnlock"
        ];
    }

    function _domainOf(uint256 oracle) internal pure returns (uint8) {
        return [1, 1, 2, 1, 3][oracle % 5]; // one domain has more than half of them
    }

    function _person() internal returns (Person memory person) {
        person.key = _newKey();
        person.account = vm.addr(person.key);
    }

    function _newKey() internal returns (uint256) {
        return uint256(keccak256(abi.encode("key", ++_keys))) >> 8;
    }

    /// @dev Below `limit`, which is not zero.
    function _random(uint256 limit) internal returns (uint256) {
        _entropy = uint256(keccak256(abi.encode(_entropy)));
        return _entropy % limit;
    }

    /// @dev True once in `times`.
    function _once(uint256 times) internal returns (bool) {
        return _random(times) == 0;
    }

    function _word() internal returns (bytes32) {
        return bytes32(_random(type(uint256).max));
    }

    /// @dev Moves the clock to a second before, at, or after a time of change; not back,
    /// and not further than `most`.
    function _jump(uint256 time, uint256 most) internal {
        if (time == 0) return;
        time = time - 1 + _random(3);
        if (time <= clock || time > clock + most) return;
        clock = time;
        vm.warp(clock);
        _hit("state:call at an edge of time");
    }

    /// @dev Makes a call, and checks that it is accepted exactly if the model allows it.
    /// @return accepted whether it was
    function _call(
        string memory name,
        address caller,
        address target,
        bytes memory data,
        bool allowed
    ) internal returns (bool accepted) {
        bytes memory answer;
        vm.prank(caller);
        (accepted, answer) = target.call(data);
        _hit(string.concat(accepted ? "call:" : "refused:", name));
        if (accepted && !allowed) _break(string.concat(name, " was accepted against the rules"));
        if (!accepted && allowed) {
            _break(string.concat(name, " was refused with ", vm.toString(answer)));
        }
    }

    /// @dev 65 bytes over the EIP-712 digest of a struct hash in a contract's domain.
    function _signed(uint256 key, bytes32 separator, bytes32 structHash)
        internal
        pure
        returns (bytes memory)
    {
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", separator, structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _separator(string memory name, string memory version, address target)
        internal
        view
        returns (bytes32)
    {
        bytes32 kind = keccak256(
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
        );
        return keccak256(
            abi.encode(
                kind, keccak256(bytes(name)), keccak256(bytes(version)), block.chainid, target
            )
        );
    }

    function _deploy(string memory name, bytes memory arguments) private returns (address made) {
        string memory path = string.concat(vm.envString("ASSURANCE_FOLDER"), "/", name, ".hex");
        bytes memory code = bytes.concat(vm.parseBytes(vm.readFile(path)), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), string.concat(name, " cannot be deployed"));
    }
}
