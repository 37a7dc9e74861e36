// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {JsonText} from "../../../contracts/challenge/JsonText.sol";
import {OcmfFields} from "../../../contracts/challenge/OcmfFields.sol";

/// What the libraries read in a text, or in its part from `from` to `to`.
contract FieldReader {
    using JsonText for bytes;

    function counter(bytes memory text, uint256 from, uint256 to) external pure returns (uint40) {
        return OcmfFields.counter(text, JsonText.Span(from, to));
    }

    function time(bytes memory text, uint256 from, uint256 to) external pure returns (uint40) {
        return OcmfFields.time(text, JsonText.Span(from, to));
    }

    function register(bytes memory text, uint256 from, uint256 to) external pure returns (uint48) {
        return OcmfFields.register(text, JsonText.Span(from, to));
    }

    function unit(bytes memory text, uint256 from, uint256 to) external pure returns (uint256) {
        return OcmfFields.decimalsOf(text, JsonText.Span(from, to));
    }

    function energy(bytes memory text, uint256 from, uint256 to, uint256 decimals)
        external
        pure
        returns (bool plain, uint256 value)
    {
        return OcmfFields.milliwattHours(text, JsonText.Span(from, to), decimals);
    }

    function kinds(uint48[] memory codes)
        external
        pure
        returns (bool[] memory energies, bool[] memory sessions)
    {
        (energies, sessions) = (new bool[](codes.length), new bool[](codes.length));
        for (uint256 i; i < codes.length; ++i) {
            energies[i] = OcmfFields.isEnergy(codes[i]);
            sessions[i] = OcmfFields.isPerSession(codes[i]);
        }
    }

    function end(bytes memory text, uint256 at) external pure returns (uint256) {
        return text.skip(at);
    }

    function member(bytes memory text, bytes memory name) external pure returns (bytes memory) {
        return text.slice(text.member(name));
    }

    function key(bytes memory text, uint256 from, uint256 to) external pure returns (uint256) {
        return text.key(JsonText.Span(from, to));
    }
}
