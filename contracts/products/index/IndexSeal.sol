// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Facts, Seal} from "./IndexFacts.sol";
import {Tariff} from "./IndexTerms.sol";

/// @title What a device signs of a report: its digest, made again from facts and tariff.
/// @notice A COSE_Sign1 (RFC 9052) with ES256 over a CWT claims map (RFC 8392), as
/// device_adapters/protocols/sealed writes it: claims in the order iss, sub, iat, version, counter,
/// report; members of the report in the order device, subject, ordinal, from, to, metrics (as the
/// tariff names them), coverage, sources, commitment; numbers as short as they can be.
/// Warning: it uses memory behind the free pointer and leaves it free.
library IndexSeal {
    uint256 private constant UINT = 0; // CBOR major types
    uint256 private constant NEGATIVE = 1;
    uint256 private constant TEXT = 3;
    uint256 private constant MAP = 5;
    uint256 private constant AHEAD = 64; // for what comes before the payload

    /// @dev SHA-256 of what the device signed (the Sig_structure).
    function digest(Tariff tariff, Facts facts, uint256 counter)
        internal
        view
        returns (bytes32 hashed)
    {
        uint256 start;
        assembly ("memory-safe") {
            start := add(mload(0x40), AHEAD)
        }
        uint256 names = tariff.names();
        uint256 device = _behind(names, tariff.metrics());
        Seal seal = facts.seal(tariff.metrics());
        uint256 end = _claims(start, device, seal, counter);
        end = _report(end, tariff, facts, seal, names);
        return _hashed(start, end);
    }

    /// @dev The device whose signature a tariff asks for; zero: none.
    function signer(Tariff tariff) internal pure returns (bytes32 device) {
        uint256 text = _behind(tariff.names(), tariff.metrics());
        assembly ("memory-safe") {
            let length := byte(0, mload(text))
            if length { device := keccak256(add(text, 1), length) }
        }
    }

    function _claims(uint256 at, uint256 device, Seal seal, uint256 counter)
        private
        pure
        returns (uint256)
    {
        at = _bytes(at, hex"a601", 2); // a map of six; iss
        at = _text(at, device);
        at = _bytes(at, hex"02", 1); // sub
        at = _text(at, device);
        at = _bytes(at, hex"06", 1); // iat
        at = _number(at, UINT, seal.sealedAt());
        at = _bytes(at, hex"3a0001116f013a00011170", 11); // version 1; counter
        at = _number(at, UINT, counter);
        return _bytes(at, hex"3a00011173", 5); // report
    }

    function _report(uint256 at, Tariff tariff, Facts facts, Seal seal, uint256 names)
        private
        pure
        returns (uint256)
    {
        uint256 device = _behind(names, tariff.metrics());
        at = _bytes(at, hex"a966646576696365", 8); // a map of nine; "device"
        at = _text(at, device);
        at = _bytes(at, hex"677375626a656374", 8); // "subject"
        at = _text(at, _behind(device, 1));
        at = _bytes(at, hex"676f7264696e616c", 8); // "ordinal"
        at = _number(at, UINT, seal.ordinal());
        at = _bytes(at, hex"6466726f6d", 5); // "from"
        at = _number(at, UINT, facts.from());
        at = _bytes(at, hex"62746f", 3); // "to"
        at = _number(at, UINT, facts.to());
        at = _bytes(at, hex"676d657472696373", 8); // "metrics"
        at = _number(at, MAP, tariff.metrics());
        for (uint256 i; i < tariff.metrics(); ++i) {
            at = _text(at, names);
            at = _signed(at, facts.metric(i));
            names = _behind(names, 1);
        }
        at = _bytes(at, hex"68636f766572616765", 9); // "coverage"
        at = _number(at, UINT, facts.coverage());
        at = _bytes(at, hex"67736f7572636573", 8); // "sources"
        at = _number(at, UINT, facts.sources());
        at = _bytes(at, hex"6a636f6d6d69746d656e745820", 13); // "commitment", 32 bytes
        bytes32 commitment = seal.commitment();
        assembly ("memory-safe") {
            mstore(at, commitment)
        }
        return at + 32;
    }

    /// @dev Puts the head of the Sig_structure before the payload, and hashes both.
    function _hashed(uint256 start, uint256 end) private view returns (bytes32 hashed) {
        uint256 length = end - start;
        uint256 size = length < 256 ? 2 : 3; // of the payload's head
        uint256 head = size == 2 ? 0x5800 | length : 0x590000 | length;
        // ["Signature1", protected {1: -7}, no external data, payload]
        uint256 word = uint256(0x846a5369676e61747572653143a1012640) << 8 * size | head;
        assembly ("memory-safe") {
            mstore(sub(start, 32), word)
            let from := sub(start, add(17, size))
            let done := staticcall(gas(), 2, from, sub(end, from), 0, 32)
            if iszero(and(done, eq(returndatasize(), 32))) { revert(0, 0) }
            hashed := mload(0)
        }
    }

    function _signed(uint256 at, int256 value) private pure returns (uint256) {
        if (value >= 0) return _number(at, UINT, uint256(value));
        return _number(at, NEGATIVE, uint256(-1 - value));
    }

    /// @dev Writes the head of a CBOR item: its type and a number of at most 64 bits.
    function _number(uint256 at, uint256 major, uint256 value) private pure returns (uint256) {
        (uint256 size, uint256 info) = (0, value);
        if (value > 0xffffffff) (size, info) = (8, 27);
        else if (value > 0xffff) (size, info) = (4, 26);
        else if (value > 0xff) (size, info) = (2, 25);
        else if (value > 23) (size, info) = (1, 24);
        uint256 word = (major << 5 | info) << 248;
        if (size != 0) word |= value << 248 - 8 * size;
        assembly ("memory-safe") {
            mstore(at, word)
        }
        return at + 1 + size;
    }

    /// @dev Writes a text that lies behind its length.
    function _text(uint256 at, uint256 text) private pure returns (uint256) {
        uint256 length;
        assembly ("memory-safe") {
            length := byte(0, mload(text))
        }
        at = _number(at, TEXT, length);
        assembly ("memory-safe") {
            mcopy(at, add(text, 1), length)
        }
        return at + length;
    }

    /// @dev Writes the first `count` of up to 32 bytes.
    function _bytes(uint256 at, bytes32 word, uint256 count) private pure returns (uint256) {
        assembly ("memory-safe") {
            mstore(at, word)
        }
        return at + count;
    }

    /// @dev Where the text behind so many texts begins.
    function _behind(uint256 text, uint256 count) private pure returns (uint256) {
        for (; count != 0; --count) {
            assembly ("memory-safe") {
                text := add(add(text, 1), byte(0, mload(text)))
            }
        }
        return text;
    }
}
