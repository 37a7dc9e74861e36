// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base64} from "@openzeppelin/contracts/utils/Base64.sol";

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {JsonText} from "./JsonText.sol";
import {OcmfFields} from "./OcmfFields.sol";
import {OcmfRecord} from "./OcmfRecord.sol";

/// @title Whether a key made the signature of an OCMF record.
/// @notice Everything that an oracle takes for a signature is tried: DER, with or without the octets
/// of the sign, and r and s of 32 bytes each, in hex or base64. So no genuine record looks forged.
library OcmfSignature {
    using JsonText for bytes;

    /// @dev Whether the key made the signature over the record's exact text.
    function isBy(
        OcmfRecord.Record memory record,
        IDeviceRegistry registry,
        IDeviceRegistry.Curve curve,
        bytes32 x,
        bytes32 y
    ) internal view returns (bool) {
        if (curve != curveOf(record) || record.signature.from == 0) return false;
        bytes memory data = _data(record.text, record.signature);
        bytes32 digest = sha256(record.text.slice(record.content));
        (bool sound, bytes32 r, bytes32 s) = _der(data);
        if (sound && registry.verify(curve, x, y, digest, r, s)) return true;
        if (data.length != 64) return false;
        (r, s) = abi.decode(data, (bytes32, bytes32));
        return registry.verify(curve, x, y, digest, r, s);
    }

    /// @dev The curve that the record declares; P-256 where it declares nothing (OCMF, table 8).
    /// Others are refused: no contract can check them.
    function curveOf(OcmfRecord.Record memory record)
        internal
        pure
        returns (IDeviceRegistry.Curve)
    {
        JsonText.Span memory span = record.algorithm;
        if (span.from == span.to) return IDeviceRegistry.Curve.P256;
        bytes memory name = record.text.slice(span);
        for (uint256 i; i < name.length; ++i) {
            if (name[i] >= "A" && name[i] <= "Z") name[i] |= 0x20;
        }
        bytes32 id = keccak256(name);
        if (id == keccak256("ecdsa-secp256r1-sha256")) return IDeviceRegistry.Curve.P256;
        if (id == keccak256("ecdsa-secp256k1-sha256")) return IDeviceRegistry.Curve.K1;
        revert JsonText.RecordUnreadable(span.from);
    }

    /// @dev Hex where all characters are hex digits: no signature in base64 is spelled so, since
    /// DER begins with M there, and 64 bytes end with an equals sign.
    function _data(bytes memory text, JsonText.Span memory span)
        private
        pure
        returns (bytes memory data)
    {
        uint256 length = span.to - span.from;
        data = new bytes(length / 2);
        bool hex_ = length % 2 == 0;
        for (uint256 i; hex_ && i < length; ++i) {
            uint256 digit = OcmfFields.hexDigit(text.char(span.from + i));
            if (digit > 15) hex_ = false;
            else data[i / 2] |= bytes1(uint8(i % 2 == 0 ? digit << 4 : digit));
        }
        if (hex_) return data;
        for (uint256 at = span.from; at < span.to; ++at) {
            if (!_isBase64(text.char(at))) revert JsonText.RecordUnreadable(at);
        }
        data = Base64.decode(string(text.slice(span)));
    }

    function _isBase64(uint256 c) private pure returns (bool) {
        uint256 letter = c | 0x20;
        return (letter >= 0x61 && letter <= 0x7a) || (c >= 0x2b && c <= 0x39 && c != 0x2c
                && c != 0x2d && c != 0x2e) || c == 0x3d;
    }

    /// @dev A sequence of two integers, read without a sign.
    function _der(bytes memory data) private pure returns (bool, bytes32 r, bytes32 s) {
        uint256 at = data.char(1) == 0x81 ? 3 : 2;
        if (data.char(0) != 0x30 || data.char(at - 1) + at != data.length) return (false, r, s);
        bool sound;
        (sound, r, at) = _integer(data, at);
        if (!sound) return (false, r, s);
        (sound, s, at) = _integer(data, at);
        return (sound && at == data.length, r, s);
    }

    function _integer(bytes memory data, uint256 at)
        private
        pure
        returns (bool, bytes32 value, uint256)
    {
        uint256 length = data.char(at + 1);
        uint256 end = at + 2 + length;
        if (data.char(at) != 0x02 || length == 0 || end > data.length) return (false, value, end);
        uint256 number;
        for (at += 2; at < end; ++at) {
            if (number >> 248 != 0) return (false, value, end);
            number = number << 8 | data.char(at);
        }
        return (true, bytes32(number), end);
    }
}
