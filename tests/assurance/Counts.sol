// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "./Vm.sol";

/// @title What a run did: calls, states that it reached, rules that were checked; and what broke.
/// @notice A name is "kind:what". Kinds: call (a function accepted a call), refused (it refused
/// one, as the model said), state (a rare state was reached), rule (an invariant was evaluated for
/// a call), always (an invariant is evaluated after each call).
abstract contract Counts {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @notice The first rule that did not hold, and how; empty as long as all hold.
    string public broken;
    bool internal _naming; // whether rules that are always checked are to be counted now
    string[] private _names;
    mapping(bytes32 name => uint256) private _countOf;

    function _hit(string memory name) internal {
        if (_countOf[keccak256(bytes(name))]++ == 0) _names.push(name);
    }

    function _rule(string memory name, bool holds) internal {
        _hit(string.concat("rule:", name));
        if (!holds) _break(name);
    }

    /// @dev A rule that is checked after each call; it is named once a run.
    function _always(string memory name, bool holds) internal {
        if (_naming) _hit(string.concat("always:", name));
        if (!holds) _break(name);
    }

    function _break(string memory what) internal {
        if (bytes(broken).length == 0) broken = what;
    }

    /// @dev All counts as one line of JSON; the names need no escapes.
    function _counts() internal view returns (string memory line) {
        line = "{";
        for (uint256 i; i < _names.length; ++i) {
            string memory count = vm.toString(_countOf[keccak256(bytes(_names[i]))]);
            line = string.concat(line, i == 0 ? '"' : ', "', _names[i], '": ', count);
        }
        line = string.concat(line, "}");
    }
}
