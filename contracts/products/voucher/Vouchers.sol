// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A voucher, the rules it is spent under, and how both are read from ABI words.
library Vouchers {
    struct Voucher {
        bytes32 wearable; // keccak256 of its name, as the registry has it
        address payee;
        uint48 total; // owed to the payee since the agreement began
        uint40 counter; // the wearable's own; rises with each tap at any payee
        uint32 taps; // at this payee
        uint16 merchantClass; // ISO 18245
        uint48 cap; // the most that all payees together may get
        uint40 signedAt;
        uint40 expiry; // the last second in which it is paid
    }

    struct Terms {
        uint40 perTap;
        uint48 perDay; // over all payees, by the day of signing; 0: no limit
        uint64 classes; // four ISO 18245 codes of 16 bits, all 0: any class
        uint24 coolOff; // seconds between two taps
        uint16 offlineTaps; // the most that one voucher may bring at once
        uint40 offlineAmount; // the most that it may bring at once, token minor units
        uint24 maxAge; // seconds from signing to settlement
    }

    bytes32 private constant VOUCHER_TYPE = keccak256(
        "Voucher(bytes32 wearable,address payee,uint48 total,uint40 counter,uint32 taps,"
        "uint16 merchantClass,uint48 cap,uint40 signedAt,uint40 expiry)"
    );

    /// @dev EIP-712 struct hash of a voucher.
    function hash(Voucher memory voucher) internal pure returns (bytes32) {
        return keccak256(abi.encode(VOUCHER_TYPE, voucher));
    }

    /// @dev Whether `wanted` is one of the four packed codes; no codes: any class.
    function classAgreed(uint64 classes, uint16 wanted) internal pure returns (bool) {
        if (classes == 0) return true;
        for (uint256 rest = classes; rest != 0; rest >>= 16) {
            if (uint16(rest) == wanted && wanted != 0) return true;
        }
        return false;
    }

    /// @dev Whether the terms are sound and for this chain and contract, and the terms.
    function readTerms(bytes calldata raw) internal view returns (bool, Terms memory terms) {
        if (raw.length != 384) return (false, terms);
        uint256[12] memory word = abi.decode(raw, (uint256[12]));
        uint8[12] memory bits = [255, 160, 40, 48, 16, 16, 16, 16, 24, 16, 40, 24];
        for (uint256 i; i < 12; ++i) {
            if (word[i] >> bits[i] != 0) return (false, terms);
        }
        bool sound = word[0] == block.chainid && word[1] == uint160(address(this)) && word[2] != 0
            && word[9] != 0 && word[10] != 0 && word[11] != 0;
        uint256 classes = word[4] | word[5] << 16 | word[6] << 32 | word[7] << 48;
        terms = Terms(
            uint40(word[2]),
            uint48(word[3]),
            uint64(classes),
            uint24(word[8]),
            uint16(word[9]),
            uint40(word[10]),
            uint24(word[11])
        );
        return (sound, terms);
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
