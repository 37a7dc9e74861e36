// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

import {IDeviceWatcher} from "../../contracts/interfaces/IDeviceWatcher.sol";
import {IDeviceWatching} from "../../contracts/interfaces/IDeviceWatching.sol";
import {IDisputes} from "../../contracts/interfaces/IDisputes.sol";
import {IOracleCommittee} from "../../contracts/interfaces/IOracleCommittee.sol";
import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {IProduct} from "../../contracts/interfaces/IProduct.sol";
import {IWearableVoucher} from "../../contracts/products/voucher/IWearableVoucher.sol";
import {HandlerFleets} from "./HandlerFleets.sol";

/// @title Callers who may not: every function that others guard, tried by people without the power.
abstract contract HandlerKnocks is HandlerFleets {
    /// @dev A stranger, a payer, a payee or a guardian calls what none of them may.
    function knock(uint256 seed) external step(seed) {
        address[4] memory people = [stranger, payers[0].account, payees[0].account, warden];
        address caller = people[_random(4)];
        uint256 which = _random(4);
        if (which == 0) _knockRail(caller);
        else if (which == 1) _knockProducts(caller);
        else if (which == 2) _knockAccess(caller);
        else _knockAuthority(caller);
    }

    /// @dev What the steward itself cannot do, with or without delay.
    function knockAsSteward(uint256 seed) external step(seed) {
        address target = address(rail);
        bytes4[] memory selectors = new bytes4[](1);
        _try(
            "RailAccess.setRoleAdmin", steward, abi.encodeCall(IAccessManager.setRoleAdmin, (1, 2))
        );
        _try(
            "RailAccess.setRoleGuardian",
            steward,
            abi.encodeCall(IAccessManager.setRoleGuardian, (1, 1))
        );
        _try(
            "RailAccess.setGrantDelay",
            steward,
            abi.encodeCall(IAccessManager.setGrantDelay, (1, 0))
        );
        _try(
            "RailAccess.setTargetFunctionRole",
            steward,
            abi.encodeCall(IAccessManager.setTargetFunctionRole, (target, selectors, 5))
        );
        _try(
            "RailAccess.setTargetAdminDelay",
            steward,
            abi.encodeCall(IAccessManager.setTargetAdminDelay, (target, 0))
        );
        _try(
            "RailAccess.setTargetClosed",
            steward,
            abi.encodeCall(IAccessManager.setTargetClosed, (target, true))
        );
        _try(
            "RailAccess.updateAuthority",
            steward,
            abi.encodeCall(IAccessManager.updateAuthority, (target, stranger))
        );
        _try(
            "RailAccess.grantRole",
            steward,
            abi.encodeCall(IAccessManager.grantRole, (1, stranger, 0))
        );
        _try("RailAccess.labelRole", steward, abi.encodeCall(IAccessManager.labelRole, (1, "x")));
    }

    function _knockRail(address caller) private {
        IPaymentRail.Outcome memory outcome;
        bytes32[] memory proof;
        bytes32 id = pacts[0].id;
        _at(
            "PaymentRail.onMint",
            caller,
            address(rail),
            abi.encodeCall(IPaymentRail.onMint, (id, 1))
        );
        _at(
            "PaymentRail.freeze",
            caller,
            address(rail),
            abi.encodeCall(IPaymentRail.freeze, (id, 1, outcome, 0, proof))
        );
        bytes32 payment = cases.length == 0 ? id : _paymentOf(cases[0].paid);
        _at(
            "PaymentRail.unfreeze",
            caller,
            address(rail),
            abi.encodeCall(IPaymentRail.unfreeze, (payment, true))
        );
        _at(
            "PaymentRail.deviceChanged",
            caller,
            address(rail),
            abi.encodeCall(IDeviceWatcher.deviceChanged, (devices[0].id))
        );
        _at(
            "DeviceRegistry.watch",
            caller,
            address(registry),
            abi.encodeCall(IDeviceWatching.watch, (address(token)))
        );
        _at(
            "Disputes.uphold",
            caller,
            address(disputes),
            abi.encodeCall(IDisputes.uphold, (id, 1, outcome, 0, proof))
        );
        _at(
            "OracleCommittee.barAttesters",
            caller,
            address(committee),
            abi.encodeCall(IOracleCommittee.barAttesters, (address(rail), payment, 7))
        );
    }

    function _knockProducts(address caller) private {
        string[4] memory names =
            ["MeteredEnergy", "ProofOfDelivery", "WearableVoucher", "MeteredFleet"];
        for (uint256 i; i < names.length; ++i) {
            _knockProduct(names[i], caller, _productOf(Kind(i)));
        }
        for (uint256 i; i < leaves.length; ++i) {
            _knockProduct(_leafNames()[i], caller, address(leaves[i]));
        }
        _knockPremium(caller);
        bytes memory link = abi.encodeCall(IWearableVoucher.setPredecessor, (address(energy)));
        _at("ProofOfDelivery.setPredecessor", caller, address(delivery), link);
        _at("WearableVoucher.setPredecessor", caller, address(voucher), link);
        _at(
            "WearableVoucher.setSuccessor",
            caller,
            address(voucher),
            abi.encodeCall(IWearableVoucher.setSuccessor, (address(energy)))
        );
        _at(
            "WearableVoucher.passOn",
            caller,
            address(voucher),
            abi.encodeCall(IWearableVoucher.passOn, (devices[0].id))
        );
    }

    /// @dev Its pacts' terms name no premium, so that none can be proved.
    function _knockPremium(address caller) private {
        IPaymentRail.Outcome memory outcome;
        bytes32[] memory proof;
        string memory called =
            "provePremium(bytes32,uint32,(bytes32,bytes32,address,int48,uint8,uint32),bytes32,bytes32[])";
        _at(
            "ParametricCover.provePremium",
            caller,
            address(leaves[3]),
            abi.encodeWithSignature(called, pacts[0].id, 1, outcome, bytes32(0), proof)
        );
    }

    function _knockProduct(string memory name, address caller, address target) private {
        bytes memory quotes = new bytes(256);
        uint256[] memory shared = new uint256[](1);
        _at(
            string.concat(name, ".open"),
            caller,
            target,
            abi.encodeCall(IProduct.open, (pacts[0].id, devices[0].id, uint40(clock), ""))
        );
        _at(
            string.concat(name, ".price"),
            caller,
            target,
            abi.encodeCall(IProduct.price, (shared, 1, quotes))
        );
        _at(
            string.concat(name, ".refunded"),
            caller,
            target,
            abi.encodeCall(IProduct.refunded, (pacts[0].id, 1))
        );
        _at(
            string.concat(name, ".skipped"),
            caller,
            target,
            abi.encodeCall(IProduct.skipped, (pacts[0].id, 0))
        );
    }

    function _knockAccess(address caller) private {
        bytes memory action = abi.encodeCall(IPaymentRail.sweep, (caller));
        _try(
            "RailAccess.schedule",
            caller,
            abi.encodeCall(IAccessManager.schedule, (address(rail), action, 0))
        );
        _try(
            "RailAccess.execute",
            caller,
            abi.encodeCall(IAccessManager.execute, (address(rail), action))
        );
        _try(
            "RailAccess.cancel",
            caller,
            abi.encodeCall(IAccessManager.cancel, (steward, address(rail), action))
        );
        _try(
            "RailAccess.consumeScheduledOp",
            caller,
            abi.encodeCall(IAccessManager.consumeScheduledOp, (caller, action))
        );
        _try(
            "RailAccess.grantRole", caller, abi.encodeCall(IAccessManager.grantRole, (3, caller, 0))
        );
        _try(
            "RailAccess.revokeRole",
            caller,
            abi.encodeCall(IAccessManager.revokeRole, (4, registrar))
        );
    }

    /// @dev Also the guardian and the steward: contracts obey their access manager for ever.
    function _knockAuthority(address caller) private {
        bytes memory data = abi.encodeCall(IAccessManaged.setAuthority, (caller));
        address[3] memory callers = [caller, guardian, steward];
        for (uint256 i; i < 3; ++i) {
            _at("PaymentRail.setAuthority", callers[i], address(rail), data);
            _at("DeviceRegistry.setAuthority", callers[i], address(registry), data);
            _at("OracleCommittee.setAuthority", callers[i], address(committee), data);
            _at("OfficerRegistry.setAuthority", callers[i], address(officers), data);
            _at("ProofOfDelivery.setAuthority", callers[i], address(delivery), data);
            _at("WearableVoucher.setAuthority", callers[i], address(voucher), data);
        }
    }

    function _try(string memory name, address caller, bytes memory data) private {
        _at(name, caller, address(access), data);
    }

    function _at(string memory name, address caller, address target, bytes memory data) private {
        _rule("strangers are refused", !_call(name, caller, target, data, false));
    }
}
