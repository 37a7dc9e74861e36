// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Kind of a claim's last reading.
enum Kind {
    Actual,
    Estimated, // charged ahead of the meter, corrected by the next actual reading
    Exchanged, // `to` is where the new meter begins
    Late // a stretch of counters that claims passed by
}

/// Terms as they are signed, without start registers and prices.
struct Header {
    bool continuous;
    bool export_;
    uint8 assurance;
    uint32 fuseWatts;
    uint64 rolloverAt;
    uint32 startedAt;
    uint8 bands;
    uint8 prices;
}

/// What one band's register showed.
struct Step {
    uint48 register;
    uint64 from;
    uint64 to;
    int64 energy;
}

/// Facts without their steps.
struct Facts {
    Kind kind;
    uint32 from;
    uint32 to;
    uint256 steps;
}

/// Facts with one step, but for its energy: they are one word. Zero: they are not.
type OneStep is uint256;

using EnergyBytes for OneStep global;

/// @title The bytes of metered energy's terms and facts, version 3, and how they are read.
/// @notice Big-endian numbers without padding. Registers and energy are mWh, times Unix seconds,
/// prices token minor units per kWh. A band is the tariff register that is charged: group E of its
/// OBIS code, 0 the total.
///   Terms: uint8 version 3, uint8 continuous, uint8 export, uint8 assurance, uint32 fuse (W),
///     uint64 rollover, uint32 startedAt, uint8 bands, uint8 prices, then for each band
///     uint64 startRegister, then for each price uint8 band, uint32 from, uint32 price.
///   Facts: uint8 version 3, uint8 kind, uint32 from, uint32 to, then for each band of the terms
///     uint48 register, uint64 fromRegister, uint64 toRegister, int64 energy.
library EnergyBytes {
    uint8 private constant VERSION = 3;
    uint256 private constant MOST_BANDS = 4;
    uint256 private constant MOST_PRICES = 8;
    uint256 private constant LEAST_ASSURANCE = 2; // a file
    uint256 private constant TERMS_HEAD = 22;
    uint256 private constant START_BYTES = 8;
    uint256 private constant PRICE_BYTES = 9;
    uint256 private constant FACTS_HEAD = 10;
    uint256 private constant STEP_BYTES = 30;

    /// @dev The terms without their lists; `sound` also says that the lists have their length.
    function header(bytes calldata raw) internal pure returns (bool sound, Header memory head) {
        if (raw.length < TERMS_HEAD || uint8(raw[0]) != VERSION) return (false, head);
        head.continuous = uint8(raw[1]) == 1;
        head.export_ = uint8(raw[2]) == 1;
        head.assurance = uint8(raw[3]);
        head.fuseWatts = uint32(bytes4(raw[4:]));
        head.rolloverAt = uint64(bytes8(raw[8:]));
        head.startedAt = uint32(bytes4(raw[16:]));
        (head.bands, head.prices) = (uint8(raw[20]), uint8(raw[21]));
        sound = uint8(raw[1]) <= 1 && uint8(raw[2]) <= 1 && head.assurance <= LEAST_ASSURANCE
            && head.fuseWatts != 0 && head.bands != 0 && head.bands <= MOST_BANDS
            && head.prices <= MOST_PRICES
            && raw.length == TERMS_HEAD + START_BYTES * head.bands + PRICE_BYTES * head.prices;
    }

    /// @dev Where the register of the `index`-th band began; 0: not known.
    function startRegister(bytes calldata raw, uint256 index) internal pure returns (uint64) {
        return uint64(bytes8(raw[TERMS_HEAD + START_BYTES * index:]));
    }

    /// @dev The `index`-th price as it is kept: band (8 bits), from (32 bits), price (32 bits).
    function priceEntry(bytes calldata raw, uint256 bands, uint256 index)
        internal
        pure
        returns (uint72)
    {
        return uint72(bytes9(raw[TERMS_HEAD + START_BYTES * bands + PRICE_BYTES * index:]));
    }

    /// @dev The facts without their steps.
    function facts(bytes calldata raw) internal pure returns (bool, Facts memory read) {
        if (raw.length < FACTS_HEAD + STEP_BYTES || uint8(raw[0]) != VERSION) return (false, read);
        read.steps = (raw.length - FACTS_HEAD) / STEP_BYTES;
        bool whole = raw.length == FACTS_HEAD + STEP_BYTES * read.steps;
        if (!whole || uint8(raw[1]) > uint8(type(Kind).max)) return (false, read);
        read.kind = Kind(uint8(raw[1]));
        (read.from, read.to) = (uint32(bytes4(raw[2:])), uint32(bytes4(raw[6:])));
        return (true, read);
    }

    /// @dev The facts as one word, and their energy as it is written; zero where they have several
    /// steps.
    function oneStep(bytes calldata raw) internal pure returns (OneStep step_, uint256 energy) {
        if (raw.length != FACTS_HEAD + STEP_BYTES) return (step_, energy);
        assembly ("memory-safe") {
            step_ := calldataload(raw.offset)
            energy := shr(192, calldataload(add(raw.offset, 32)))
        }
    }

    /// @dev Zero where facts are of this version, and their last reading is an actual one.
    function notActual(OneStep step_) internal pure returns (uint256) {
        return OneStep.unwrap(step_) >> 240 ^ (uint256(VERSION) << 8 | uint8(Kind.Actual));
    }

    /// @dev The note of a register that was read last at the step's end.
    function noteOf(OneStep step_) internal pure returns (uint80) {
        return uint80(step_.to()) << 32 | uint80(step_.toTime());
    }

    function fromTime(OneStep step_) internal pure returns (uint256) {
        return uint32(OneStep.unwrap(step_) >> 208);
    }

    function toTime(OneStep step_) internal pure returns (uint256) {
        return uint32(OneStep.unwrap(step_) >> 176);
    }

    function register(OneStep step_) internal pure returns (uint48) {
        return uint48(OneStep.unwrap(step_) >> 128);
    }

    function from(OneStep step_) internal pure returns (uint256) {
        return uint64(OneStep.unwrap(step_) >> 64);
    }

    function to(OneStep step_) internal pure returns (uint256) {
        return uint64(OneStep.unwrap(step_));
    }

    /// @dev The `index`-th step of the facts.
    function step(bytes calldata raw, uint256 index) internal pure returns (Step memory read) {
        uint256 at = FACTS_HEAD + STEP_BYTES * index;
        read.register = uint48(bytes6(raw[at:]));
        read.from = uint64(bytes8(raw[at + 6:]));
        read.to = uint64(bytes8(raw[at + 14:]));
        read.energy = int64(uint64(bytes8(raw[at + 22:])));
    }
}
