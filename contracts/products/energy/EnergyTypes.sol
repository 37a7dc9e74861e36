// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Registers and energy are mWh, times Unix seconds, prices token minor units per kWh.

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

/// Of a band; Open keeps its slot non-zero: the first claim costs what the next ones do.
enum Stage {
    None,
    Open, // any register may come first
    Anchored
}

/// How far one band is charged: one slot.
struct State {
    uint64 register; // the last actual reading that a claim ended with
    uint64 total; // mWh charged so far
    int64 ahead; // mWh charged beyond the register (estimates), or below zero: passed uncharged
    uint32 time; // of that reading
    uint24 remainder; // what is charged once a minor unit is whole: millionths of one
    Stage stage;
}

/// Terms as they are kept: one slot.
struct Terms {
    uint64 rolloverAt;
    uint32 fuseWatts;
    uint32 start; // facts before it are refused
    uint32 startedAt;
    uint32 price; // where the agreement has one only
    uint8 band; // of that price
    uint8 bands;
    uint8 prices;
    uint8 assurance;
    bool continuous;
    bool export_;
}

/// What a claim does to one band, or the reason of a refusal.
struct Charge {
    Answer answer;
    int256 energy; // mWh charged, below zero for a debt
    int256 flow; // mWh that had to pass the fuse
    int256 ahead; // after the claim
}

/// 1 is IProduct's OVER_LIMIT; the order is what `refusalName` and the rail's 100 + n speak of.
enum Answer {
    Priced,
    OverLimit,
    FactsMalformed,
    RegisterBackwards,
    RegisterDiscontinuous, // does not begin with the last actual reading
    EnergyAboveRegister,
    EnergyIncomplete,
    TimeBackwards, // before the agreement's start, or before what was charged
    FuseExceeded,
    KindUnexpected, // late facts of counters that are not, or an estimate of sessions
    DeviceNotActive, // at the time of the last reading, by the registry
    RegisterNotAgreed, // none is named, it counts the other direction or in a band without a
    // price, or continuous terms need one that runs on
    TimeAhead, // after the agreement's end, or later than now
    LateCountersUnknown // late counters in no gap that is open: paid before, or too old
}
