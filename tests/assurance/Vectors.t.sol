// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceRegistry} from "../../contracts/interfaces/IDeviceRegistry.sol";
import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {IProduct} from "../../contracts/interfaces/IProduct.sol";
import {Claims} from "../../contracts/libraries/Claims.sol";
import {Scratch} from "../../contracts/libraries/Scratch.sol";
import {IWearableVoucher} from "../../contracts/products/voucher/IWearableVoucher.sol";
import {Vouchers} from "../../contracts/products/voucher/Vouchers.sol";
import {NotingRail} from "../contracts/sources/Doubles.sol";
import {Vm} from "./Vm.sol";

/// @title A registry that knows every device: what is compared here is prices, not signatures.
contract OpenRegistry {
    function activeAt(bytes32, uint40) external pure returns (bool) {
        return true;
    }

    function keyAt(bytes32, uint40)
        external
        pure
        returns (IDeviceRegistry.Status, IDeviceRegistry.Curve, bytes32, bytes32)
    {
        return (IDeviceRegistry.Status.Active, IDeviceRegistry.Curve.P256, 0, 0);
    }

    function verify(IDeviceRegistry.Curve, bytes32, bytes32, bytes32, bytes32, bytes32)
        external
        pure
        returns (bool)
    {
        return true;
    }

    function compromisedSince(bytes32) external pure returns (uint40) {
        return 0;
    }

    function ownerOf(bytes32) external view returns (address) {
        return address(this);
    }

    function adoptedAt(bytes32) external pure returns (uint40) {
        return 0;
    }

    function authority() external view returns (address) {
        return address(this);
    }
}

/// @title The products and the hashes answer as Python does, on vectors that Python wrote.
/// @notice Each file has one ABI-encoded vector a line, in hex. All lines take the same memory: forge
/// allows a test 128 MiB.
contract VectorsTest {
    /// An agreement of a story.
    struct Opening {
        bytes32 agreement;
        bytes32 device;
        uint40 start;
        bytes terms;
    }

    /// One claim: when it is priced, what is asked, and what Python answers.
    struct Step {
        uint256 time;
        NotingRail.Claimed claim;
        int256 amount;
        uint256 refusal;
    }

    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    NotingRail private _rail;

    function testEnergy() external {
        _follow("energy", _product("MeteredEnergy", false));
    }

    function testDeliveries() external {
        _follow("deliveries", _product("ProofOfDelivery", false));
    }

    function testVouchers() external {
        _follow("vouchers", _product("WearableVoucher", true));
    }

    function testClaimHashes() external {
        uint256 mark = Scratch.mark();
        string memory line = vm.readLine(_file("claims"));
        while (bytes(line).length != 0) {
            (
                IPaymentRail.Claim memory claim,
                bytes32 hash,
                address rail,
                address product,
                bytes32 all
            ) = abi.decode(
                vm.parseBytes(line), (IPaymentRail.Claim, bytes32, address, address, bytes32)
            );
            bytes32[] memory hashes = new bytes32[](1);
            hashes[0] = this.hashOf(claim);
            require(hashes[0] == hash, "a claim's hash differs");
            require(this.hashOfBytes(_bytesOf(claim)) == hash, "a hash of claim bytes differs");
            require(this.attestationOf(rail, product, hashes) == all, "an attestation differs");
            Scratch.free(mark);
            line = vm.readLine(_file("claims"));
        }
    }

    function testVoucherDigests() external {
        IWearableVoucher product = IWearableVoucher(address(_product("WearableVoucher", true)));
        uint256 mark = Scratch.mark();
        string memory line = vm.readLine(_file("digests"));
        while (bytes(line).length != 0) {
            (address domain, Vouchers.Voucher memory voucher, bytes32 digest) =
                abi.decode(vm.parseBytes(line), (address, Vouchers.Voucher, bytes32));
            require(product.digestOf(domain, voucher) == digest, "a voucher's digest differs");
            Scratch.free(mark);
            line = vm.readLine(_file("digests"));
        }
    }

    function hashOf(IPaymentRail.Claim calldata claim) external pure returns (bytes32) {
        return Claims.hash(claim);
    }

    /// @notice Hashes the one claim of a batch's bytes as `settle` does.
    function hashOfBytes(bytes calldata claims) external pure returns (bytes32) {
        (bytes32[] memory hashes, bool whole) = Claims.hashes(claims);
        require(whole && hashes.length == 1, "claim bytes cannot be read");
        return hashes[0];
    }

    function attestationOf(address rail, address product, bytes32[] calldata hashes)
        external
        pure
        returns (bytes32)
    {
        return Claims.attestation(rail, product, keccak256(abi.encodePacked(hashes)));
    }

    /// @dev Each line is a story: agreements, then claims one after the other.
    function _follow(string memory name, IProduct product) private {
        uint256 mark = Scratch.mark();
        while (_followNext(name, product)) Scratch.free(mark);
    }

    /// @dev Whether there was one more line.
    function _followNext(string memory name, IProduct product) private returns (bool) {
        string memory line = vm.readLine(_file(name));
        if (bytes(line).length == 0) return false;
        (Opening[] memory openings, Step[] memory steps) =
            abi.decode(vm.parseBytes(line), (Opening[], Step[]));
        vm.warp(steps[0].time);
        for (uint256 i; i < openings.length; ++i) {
            Opening memory opening = openings[i];
            if (_is(name, "vouchers")) _nameContract(opening.terms, address(product));
            _rail.open(product, opening.agreement, opening.device, opening.start, opening.terms);
        }
        for (uint256 i; i < steps.length; ++i) {
            // every other reading is of a device that nobody need ask for
            if (_is(name, "energy") && i % 2 == 1) steps[i].claim.device = 0;
            _price(product, steps[i]);
        }
        return true;
    }

    function _price(IProduct product, Step memory step) private {
        vm.warp(step.time);
        NotingRail.Claimed[] memory claims = new NotingRail.Claimed[](1);
        claims[0] = step.claim;
        NotingRail.Answered memory answer = _rail.price(product, claims)[0];
        string memory refusal = vm.toString(uint256(answer.refusal));
        require(answer.refusal == step.refusal, string.concat("a refusal differs: ", refusal));
        require(answer.amount == step.amount, "an amount differs");
    }

    function _bytesOf(IPaymentRail.Claim memory claim) private pure returns (bytes memory) {
        return abi.encodePacked(
            claim.agreement,
            claim.evidence,
            uint16(0),
            claim.sequence,
            claim.firstCounter,
            claim.lastCounter,
            uint16(claim.facts.length),
            claim.facts
        );
    }

    /// @dev Terms of vouchers name, in their second word, the contract that wearables sign for.
    function _nameContract(bytes memory terms, address product) private pure {
        assembly ("memory-safe") {
            mstore(add(terms, 64), product)
        }
    }

    function _is(string memory a, string memory b) private pure returns (bool) {
        return keccak256(bytes(a)) == keccak256(bytes(b));
    }

    /// @dev A product with a rail of its own.
    function _product(string memory name, bool names) private returns (IProduct product) {
        _rail = new NotingRail(names);
        string memory path = string.concat(vm.envString("ASSURANCE_FOLDER"), "/", name, ".hex");
        bytes memory arguments = abi.encode(address(_rail), address(new OpenRegistry()));
        bytes memory code = bytes.concat(vm.parseBytes(vm.readFile(path)), arguments);
        address made;
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), string.concat(name, " cannot be deployed"));
        return IProduct(made);
    }

    function _file(string memory name) private view returns (string memory) {
        return string.concat(vm.envString("ASSURANCE_FOLDER"), "/", name, ".vectors");
    }
}
