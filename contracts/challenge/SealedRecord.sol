// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base64} from "@openzeppelin/contracts/utils/Base64.sol";

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {JsonText} from "./JsonText.sol";

/// @title Reads a sealed record as far as its signature: whose it is, and what was signed.
/// @notice A COSE_Sign1 (RFC 9052) with a map of claims, or a compact JWS (RFC 7515), as
/// device_adapters/protocols/sealed/envelope.py reads them: ES256 and ES256K, 64 bytes r and s. When it
/// was observed, its content says, which is not read here.
library SealedRecord {
    using JsonText for bytes;

    struct Sealed {
        bytes32 device; // keccak256 of its subject's name
        IDeviceRegistry.Curve curve;
        bytes32 digest;
        bytes signature;
    }

    uint256 private constant ALGORITHM = 1; // label in a COSE header
    uint256 private constant SUBJECT = 2; // label in a map of CWT claims
    uint256 private constant BYTES = 2; // CBOR major types
    uint256 private constant TEXT = 3;
    uint256 private constant MAP = 5;

    /// @dev Whether the record begins as a sealed one does.
    function begins(bytes memory record) internal pure returns (bool) {
        uint256 first = record.char(0);
        bool jws = first == 0x65 && record.char(1) == 0x79 && record.char(2) == 0x4a;
        return jws || first == 0xd2 || first == 0xd8 || first == 0x84;
    }

    /// @dev Reads a record that begins as a sealed one.
    function read(bytes memory record) internal pure returns (Sealed memory) {
        return record.char(0) == 0x65 ? _jws(record) : _cose(record);
    }

    function _jws(bytes memory record) private pure returns (Sealed memory sealed_) {
        uint256 first = _dot(record, 0);
        uint256 second = _dot(record, first + 1);
        if (_dot(record, second + 1) != record.length) revert JsonText.RecordUnreadable(second);
        bytes memory header = _decoded(record, 0, first);
        bytes memory claims = _decoded(record, first + 1, second);
        JsonText.Span memory algorithm = header.member("alg");
        if (header.equals(algorithm, "ES256")) sealed_.curve = IDeviceRegistry.Curve.P256;
        else if (header.equals(algorithm, "ES256K")) sealed_.curve = IDeviceRegistry.Curve.K1;
        else revert JsonText.RecordUnreadable(0);
        sealed_.device = claims.hash(claims.member("sub"));
        sealed_.digest = sha256(record.slice(JsonText.Span(0, second)));
        sealed_.signature = _decoded(record, second + 1, record.length);
        if (sealed_.signature.length != 64) revert JsonText.RecordUnreadable(second);
    }

    function _cose(bytes memory record) private pure returns (Sealed memory sealed_) {
        uint256 at;
        if (record.char(at) == 0xd8) at = record.expect(record.expect(at, 0xd8), 0x3d);
        if (record.char(at) == 0xd2) ++at;
        at = record.expect(at, 0x84);
        JsonText.Span memory header = JsonText.Span(at, _skip(record, at));
        at = _skip(record, header.to); // what is not signed
        JsonText.Span memory claims = JsonText.Span(at, _skip(record, at));
        bytes memory protected = _content(record, header);
        uint256 algorithm = _find(protected, ALGORITHM);
        // -7 and -47, as CBOR writes them
        if (protected.char(algorithm) == 0x26) {
            sealed_.curve = IDeviceRegistry.Curve.P256;
        } else if (protected.char(algorithm) == 0x38 && protected.char(algorithm + 1) == 0x2e) {
            sealed_.curve = IDeviceRegistry.Curve.K1;
        } else {
            revert JsonText.RecordUnreadable(header.from);
        }
        bytes memory content = _content(record, claims);
        uint256 subject = _find(content, SUBJECT);
        (uint256 major, uint256 length, uint256 from) = _head(content, subject);
        if (major != TEXT) revert JsonText.RecordUnreadable(claims.from);
        sealed_.device = content.hash(JsonText.Span(from, from + length));
        sealed_.digest = sha256(
            abi.encodePacked(
                hex"846a", "Signature1", record.slice(header), hex"40", record.slice(claims)
            )
        );
        sealed_.signature =
            _content(record, JsonText.Span(claims.to, _skip(record, claims.to)));
        bool whole = _skip(record, claims.to) == record.length;
        if (!whole || sealed_.signature.length != 64) revert JsonText.RecordUnreadable(claims.to);
    }

    /// @dev The position of the next dot, or the text's end.
    function _dot(bytes memory text, uint256 at) private pure returns (uint256) {
        while (at < text.length && text.char(at) != 0x2e) ++at;
        return at;
    }

    /// @dev Base64url without padding.
    function _decoded(bytes memory text, uint256 from, uint256 to)
        private
        pure
        returns (bytes memory)
    {
        for (uint256 at = from; at < to; ++at) {
            uint256 c = text.char(at);
            uint256 letter = c | 0x20;
            bool known = (letter >= 0x61 && letter <= 0x7a) || (c >= 0x30 && c <= 0x39)
                || c == 0x2d || c == 0x5f;
            if (!known) revert JsonText.RecordUnreadable(at);
        }
        return Base64.decode(string(text.slice(JsonText.Span(from, to))));
    }

    /// @dev Major type, number and end of a CBOR head; only of the lengths that records have.
    function _head(bytes memory data, uint256 at)
        private
        pure
        returns (uint256 major, uint256 value, uint256 end)
    {
        uint256 first = data.char(at);
        (major, value, end) = (first >> 5, first & 0x1f, at + 1);
        if (value < 24) return (major, value, end);
        if (value > 27) revert JsonText.RecordUnreadable(at);
        uint256 size = 1 << (value - 24);
        value = 0;
        for (uint256 i; i < size; ++i) {
            value = value << 8 | data.char(end++);
        }
        if (end > data.length) revert JsonText.RecordUnreadable(at);
    }

    /// @dev The position after a CBOR item, however deep it is.
    function _skip(bytes memory data, uint256 at) private pure returns (uint256) {
        for (uint256 open = 1; open != 0; --open) {
            uint256 from = at;
            (uint256 major, uint256 value, uint256 end) = _head(data, at);
            at = end;
            if (major == BYTES || major == TEXT) at += value;
            else if (major == 4) open += value;
            else if (major == MAP) open += 2 * value;
            else if (major == 6) ++open;
            if (at > data.length || open > data.length) revert JsonText.RecordUnreadable(from);
        }
        return at;
    }

    /// @dev What a byte string holds.
    function _content(bytes memory data, JsonText.Span memory item)
        private
        pure
        returns (bytes memory)
    {
        (uint256 major,, uint256 from) = _head(data, item.from);
        if (major != BYTES) revert JsonText.RecordUnreadable(item.from);
        return data.slice(JsonText.Span(from, item.to));
    }

    /// @dev The position of the value of a positive label in a map that is all of `data`.
    function _find(bytes memory data, uint256 label) private pure returns (uint256) {
        (uint256 major, uint256 pairs, uint256 at) = _head(data, 0);
        if (major != MAP) revert JsonText.RecordUnreadable(0);
        for (; pairs != 0; --pairs) {
            (uint256 kind, uint256 value,) = _head(data, at);
            at = _skip(data, at);
            if (kind == 0 && value == label) return at;
            at = _skip(data, at);
        }
        revert JsonText.RecordUnreadable(0);
    }
}
