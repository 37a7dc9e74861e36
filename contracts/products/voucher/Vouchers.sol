// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @title A voucher, the rules it is spent under, and how both are read from ABI words.
library Vouchers {
    struct Voucher {
        bytes32 wearable; // keccak256 of its name, as the registry has it
        address payee;
        uint48 total; // owed to the payee since the wearable's first tap
        uint40 counter; // the wearable's own; rises with each tap at any payee
        uint32 taps; // at this payee
        uint16 merchantClass; // ISO 18245
        uint48 cap; // the most that all payees together may get
        uint40 signedAt;
        uint40 expiry; // the last second in which it is paid
    }

    struct Terms {
        uint40 perTap;
        uint48 perDay; // over all payees, for each day of signing; 0: no limit
        uint64 classes; // four ISO 18245 codes of 16 bits, all 0: any class
        uint24 coolOff; // seconds between two taps
        uint16 offlineTaps; // the most that one voucher may bring at once
        uint40 offlineAmount; // the most that it may bring at once, token minor units
        uint24 maxAge; // seconds from signing to settlement
        uint40 start; // not one of the signed terms: what was signed before it is not paid
        address domain; // the contract that the wearable signs for
    }

    /// What a payee was paid for a wearable's taps before its first agreement here.
    struct Start {
        address payee;
        uint48 paid;
        uint32 taps;
    }

    bytes32 private constant VOUCHER_TYPE = keccak256(
        "Voucher(bytes32 wearable,address payee,uint48 total,uint40 counter,uint32 taps,"
        "uint16 merchantClass,uint48 cap,uint40 signedAt,uint40 expiry)"
    );
    bytes32 private constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 private constant NAME = keccak256("proofrail-voucher");
    bytes32 private constant VERSION = keccak256("1");
    uint256 private constant WORDS = 12; // of the terms
    uint256 private constant TERMS_BYTES = WORDS * 32;
    uint256 private constant START_BYTES = 96;

    /// @dev EIP-712 digest of a voucher that is for a contract of this chain.
    function digest(Voucher memory voucher, address domain) internal view returns (bytes32) {
        bytes32 separator =
            keccak256(abi.encode(DOMAIN_TYPE, NAME, VERSION, block.chainid, domain));
        return MessageHashUtils.toTypedDataHash(
            separator, keccak256(abi.encode(VOUCHER_TYPE, voucher))
        );
    }

    /// @dev Whether `wanted` is one of the four packed codes; no codes: any class.
    function classAgreed(uint64 classes, uint16 wanted) internal pure returns (bool) {
        if (classes == 0) return true;
        for (uint256 rest = classes; rest != 0; rest >>= 16) {
            if (uint16(rest) == wanted && wanted != 0) return true;
        }
        return false;
    }

    /// @dev Whether the terms are sound and for this chain, and the terms.
    function readTerms(bytes calldata raw, uint40 start)
        internal
        view
        returns (bool, Terms memory terms)
    {
        bool whole = raw.length >= TERMS_BYTES && (raw.length - TERMS_BYTES) % START_BYTES == 0;
        if (!whole) return (false, terms);
        uint256[WORDS] memory word = abi.decode(raw, (uint256[12]));
        uint8[WORDS] memory bits = [255, 160, 40, 48, 16, 16, 16, 16, 24, 16, 40, 24];
        for (uint256 i; i < WORDS; ++i) {
            if (word[i] >> bits[i] != 0) return (false, terms);
        }
        bool sound = word[0] == block.chainid && word[2] != 0 && word[9] != 0 && word[10] != 0
            && word[11] != 0;
        uint256 classes = word[4] | word[5] << 16 | word[6] << 32 | word[7] << 48;
        terms = Terms({
            perTap: uint40(word[2]),
            perDay: uint48(word[3]),
            classes: uint64(classes),
            coolOff: uint24(word[8]),
            offlineTaps: uint16(word[9]),
            offlineAmount: uint40(word[10]),
            maxAge: uint24(word[11]),
            start: start,
            domain: address(uint160(word[1]))
        });
        return (sound, terms);
    }

    /// @dev Whether the starts behind the terms are sound, with rising payees, and the starts.
    function readStarts(bytes calldata raw) internal pure returns (bool, Start[] memory starts) {
        starts = new Start[]((raw.length - TERMS_BYTES) / START_BYTES);
        uint256 previous;
        for (uint256 i; i < starts.length; ++i) {
            uint256 at = TERMS_BYTES + i * START_BYTES;
            uint256[3] memory word = abi.decode(raw[at:], (uint256[3]));
            bool sound = word[0] > previous && word[0] >> 160 == 0 && word[1] != 0
                && word[1] >> 47 == 0 && word[2] >> 32 == 0;
            if (!sound) return (false, starts);
            previous = word[0];
            starts[i] = Start(address(uint160(word[0])), uint48(word[1]), uint32(word[2]));
        }
        return (true, starts);
    }

    /// @dev Reads word by word: `abi.decode` into narrow types would revert, and a bad claim must not.
    function readFacts(bytes32 device, bytes calldata raw)
        internal
        pure
        returns (bool, Voucher memory voucher)
    {
        if (raw.length != 320) return (false, voucher);
        uint256[8] memory word = abi.decode(raw, (uint256[8]));
        uint8[8] memory bits = [160, 47, 40, 32, 16, 48, 40, 40]; // an amount is an int48
        for (uint256 i; i < 8; ++i) {
            if (word[i] >> bits[i] != 0) return (false, voucher);
        }
        bool sound = word[0] != 0 && word[1] != 0 && word[2] != 0 && word[3] != 0;
        voucher = Voucher(
            device,
            address(uint160(word[0])),
            uint48(word[1]),
            uint40(word[2]),
            uint32(word[3]),
            uint16(word[4]),
            uint48(word[5]),
            uint40(word[6]),
            uint40(word[7])
        );
        return (sound, voucher);
    }
}
