// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {IERC3009, IERC3009Cancel} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";

import {IOracleCommittee} from "../../contracts/interfaces/IOracleCommittee.sol";
import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {HandlerAgreements} from "./HandlerAgreements.sol";
import {HandlerCommittee} from "./HandlerCommittee.sol";

/// @title Powers of steward and guardian, the passing of time, and what else moves tokens.
abstract contract HandlerPowers is HandlerAgreements, HandlerCommittee {
    uint64 private constant MINTER = 3;

    /// A call of the steward's that waits.
    struct Waiting {
        bytes data;
        uint256 due;
    }

    Waiting[] private _waiting;
    uint256 private _nonces;

    function passHours(uint256 seed) external step(seed) {
        clock += _random(12 hours);
        vm.warp(clock);
    }

    function passDays(uint256 seed) external step(seed) {
        if (!_once(3)) return;
        clock += _once(16) ? _random(40 days) : _random(2 days);
        vm.warp(clock);
        _hit("state:days passed");
    }

    function pause(uint256 seed) external step(seed) {
        address caller = _once(6) ? guardian : steward;
        if (pauses.length != 0 && _once(10)) {
            _jump(pauses[pauses.length - 1].until + 14 days, 22 days);
        }
        bool cool = pauses.length == 0 || clock >= pauses[pauses.length - 1].until + 14 days;
        if (!cool && caller == guardian) _hit("state:second pause refused");
        bytes memory data = abi.encodeCall(IPaymentRail.pause, ());
        bool allowed = caller == guardian && cool;
        if (!_call("PaymentRail.pause", caller, address(rail), data, allowed)) return;
        _rule("a pause comes 14 days after the last one", cool);
        pauses.push(Pause(clock, clock + 7 days));
        _hit("state:paused");
    }

    function unpause(uint256 seed) external step(seed) {
        address caller = _once(8) ? guardian : address(this);
        if (_paused() && _once(8)) _jump(pauses[pauses.length - 1].until, 7 days);
        bytes memory data = abi.encodeCall(IPaymentRail.unpause, ());
        bool allowed = _paused() && caller != guardian;
        if (!_call("PaymentRail.unpause", caller, address(rail), data, allowed)) return;
        pauses[pauses.length - 1].until = clock;
        _hit("state:pause ended early");
    }

    function allowProduct(uint256 seed) external step(seed) {
        address product = _productOf(Kind(_random(KINDS)));
        for (uint256 i; i < 2 && listed[product]; ++i) {
            product = _productOf(Kind(_random(KINDS)));
        }
        bool code = !_once(6);
        address caller = _once(6) ? guardian : address(this);
        bytes memory data = abi.encodeCall(IPaymentRail.allowProduct, (code ? product : stranger));
        bool allowed = code && caller != guardian;
        if (!_call("PaymentRail.allowProduct", caller, address(rail), data, allowed)) return;
        listed[product] = true;
    }

    function disallowProduct(uint256 seed) external step(seed) {
        address product = _productOf(Kind(_random(KINDS)));
        address caller = _once(6) ? guardian : steward;
        bytes memory data = abi.encodeCall(IPaymentRail.disallowProduct, (product));
        bool allowed = caller == guardian;
        if (!_call("PaymentRail.disallowProduct", caller, address(rail), data, allowed)) return;
        listed[product] = false;
        _hit("state:product taken off the list");
    }

    /// @dev The steward schedules an action; later it takes place, not before its delay is over.
    function schedule(uint256 seed) external step(seed) {
        uint256 oracle = _random(oracles.length);
        bytes memory action =
            abi.encodeCall(IOracleCommittee.seat, (oracles[oracle].account, _domainOf(oracle)));
        bytes memory data = abi.encodeCall(IAccessManager.schedule, (address(committee), action, 0));
        // seating a member that has a seat fails when it is carried out: it changes nothing here
        if (!_call("RailAccess.schedule", steward, address(access), data, _notWaiting(action))) {
            return;
        }
        _waiting.push(Waiting(action, clock + DELAY));
        _hit("state:action waits");
    }

    function execute(uint256 seed) external step(seed) {
        if (_waiting.length == 0) return;
        uint256 index = _random(_waiting.length);
        Waiting memory waiting = _waiting[index];
        if (_once(3)) _jump(waiting.due, 3 days);
        bytes memory data =
            abi.encodeCall(IAccessManager.execute, (address(committee), waiting.data));
        uint256 oracle = _oracleIn(waiting.data);
        bool timely = clock >= waiting.due && clock < waiting.due + 7 days;
        if (clock < waiting.due) _hit("state:action before its delay");
        bool allowed = timely && !seatOf[oracle].barred && !_able(oracle);
        if (!_call("RailAccess.execute", steward, address(access), data, allowed)) return;
        _rule("the steward waits for its delay", timely);
        _seatGhost(oracle);
        _forget(index);
    }

    function cancel(uint256 seed) external step(seed) {
        if (_waiting.length == 0) return;
        uint256 index = _random(_waiting.length);
        Waiting memory waiting = _waiting[index];
        address caller = _once(2) ? guardian : stranger;
        bytes memory data =
            abi.encodeCall(IAccessManager.cancel, (steward, address(committee), waiting.data));
        bool allowed = caller == guardian;
        if (_call("RailAccess.cancel", caller, address(access), data, allowed)) _forget(index);
    }

    /// @dev The guardian takes an operating role away at once, by itself or in a multicall.
    function revokeRole(uint256 seed) external step(seed) {
        address caller = _once(2) ? guardian : stranger;
        bytes memory data = abi.encodeCall(IAccessManager.revokeRole, (MINTER, stranger));
        _call("RailAccess.revokeRole", caller, address(access), data, caller == guardian);
        bytes[] memory inner = new bytes[](1);
        inner[0] = data;
        bytes memory outer = abi.encodeWithSignature("multicall(bytes[])", inner);
        _call("RailAccess.multicall", caller, address(access), outer, caller == guardian);
        data = abi.encodeCall(IAccessManager.renounceRole, (MINTER, stranger));
        _call("RailAccess.renounceRole", stranger, address(access), data, true);
    }

    /// @dev Tokens between people, by every way that the token has.
    function moveTokens(uint256 seed) external step(seed) {
        (Person memory from, address to) = (payers[_random(3)], _anyPayee().account);
        uint256 amount = _random(EURO);
        bool enough = _balance(from.account) >= amount;
        bytes memory data = abi.encodeCall(IERC20.approve, (stranger, amount));
        _call("EuroToken.approve", from.account, address(token), data, true);
        data = abi.encodeCall(IERC20.transferFrom, (from.account, to, amount));
        _call("EuroToken.transferFrom", stranger, address(token), data, enough);
        data = abi.encodeCall(IERC20.transferFrom, (from.account, to, amount + EURO));
        _call("EuroToken.transferFrom", stranger, address(token), data, false);
    }

    function signTokens(uint256 seed) external step(seed) {
        (Person memory from, Person memory to) = (payers[_random(3)], _anyPayee());
        uint256 amount = _random(EURO);
        bool enough = _balance(from.account) >= amount;
        bytes32 nonce = bytes32(++_nonces);
        bytes memory data = _authorised("Transfer", from, to.account, amount, nonce);
        _call("EuroToken.transferWithAuthorization", stranger, address(token), data, enough);
        data = _authorised("Receive", from, to.account, amount, bytes32(++_nonces));
        enough = _balance(from.account) >= amount;
        _call("EuroToken.receiveWithAuthorization", to.account, address(token), data, enough);
        _cancelAuthorization(from, bytes32(++_nonces));
        _permit(from, amount);
    }

    function _forget(uint256 index) private {
        _waiting[index] = _waiting[_waiting.length - 1];
        _waiting.pop();
    }

    function _notWaiting(bytes memory action) private returns (bool free) {
        free = true;
        for (uint256 i = _waiting.length; i > 0; --i) {
            if (keccak256(_waiting[i - 1].data) != keccak256(action)) continue;
            if (clock >= _waiting[i - 1].due + 7 days) _forget(i - 1);
            else free = false;
        }
    }

    function _oracleIn(bytes memory action) private view returns (uint256 oracle) {
        address member;
        assembly ("memory-safe") {
            member := mload(add(action, 36))
        }
        while (oracles[oracle].account != member) ++oracle;
    }

    function _authorised(
        string memory way,
        Person memory from,
        address to,
        uint256 amount,
        bytes32 nonce
    ) private view returns (bytes memory) {
        bytes32 kind = keccak256(
            bytes.concat(
                bytes(way),
                "WithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
                "uint256 validBefore,bytes32 nonce)"
            )
        );
        bytes32 structHash =
            keccak256(abi.encode(kind, from.account, to, amount, 0, type(uint256).max, nonce));
        (uint8 v, bytes32 r, bytes32 s) = _split(from.key, structHash);
        bytes4 selector = bytes(way)[0] == "T"
            ? IERC3009.transferWithAuthorization.selector
            : IERC3009.receiveWithAuthorization.selector;
        return abi.encodeWithSelector(
            selector, from.account, to, amount, 0, type(uint256).max, nonce, v, r, s
        );
    }

    function _cancelAuthorization(Person memory from, bytes32 nonce) private {
        bytes32 kind = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
        (uint8 v, bytes32 r, bytes32 s) =
            _split(from.key, keccak256(abi.encode(kind, from.account, nonce)));
        bytes memory data =
            abi.encodeCall(IERC3009Cancel.cancelAuthorization, (from.account, nonce, v, r, s));
        _call("EuroToken.cancelAuthorization", stranger, address(token), data, true);
        _call("EuroToken.cancelAuthorization", stranger, address(token), data, false);
    }

    function _permit(Person memory from, uint256 amount) private {
        bytes32 kind = keccak256(
            "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
        );
        uint256 nonce = IERC20Permit(address(token)).nonces(from.account);
        bytes32 structHash =
            keccak256(abi.encode(kind, from.account, stranger, amount, nonce, type(uint256).max));
        (uint8 v, bytes32 r, bytes32 s) = _split(from.key, structHash);
        bytes memory data = abi.encodeCall(
            IERC20Permit.permit, (from.account, stranger, amount, type(uint256).max, v, r, s)
        );
        _call("EuroToken.permit", stranger, address(token), data, true);
        _call("EuroToken.permit", stranger, address(token), data, false);
    }

    function _split(uint256 key, bytes32 structHash)
        private
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 domain = IERC20Permit(address(token)).DOMAIN_SEPARATOR();
        return vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, structHash)));
    }
}
