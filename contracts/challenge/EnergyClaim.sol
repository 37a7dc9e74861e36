// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IChallenges} from "../interfaces/IChallenges.sol";
import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {EnergyBytes, Facts, Kind, Step} from "../products/energy/EnergyBytes.sol";
import {EnergyTerms} from "../products/energy/EnergyTerms.sol";
import {JsonText} from "./JsonText.sol";
import {OcmfFields} from "./OcmfFields.sol";
import {OcmfRecord} from "./OcmfRecord.sol";

/// What this reads of MeteredEnergy.
interface IEnergyTerms {
    /// @notice Reads what an agreement's claims begin with.
    /// @param agreement its id
    /// @return start facts before it are refused
    /// @return startedAt when the start registers were read
    /// @return terms the shared terms without their lowest 80 bits, which are zero
    function beginOf(bytes32 agreement)
        external
        view
        returns (uint32 start, uint32 startedAt, uint176 terms);
}

/// @title The facts of a claim of metered energy against the reading of the meter.
/// @notice A claim of good readings alone ends with the last reading of its register in its last
/// record. It begins with the first one of its first record where it is a session's begin, and each
/// session is charged by itself; else it begins where the claim before it ended, which the product
/// holds. Estimates, exchanges of the meter and tariff bands are for people to rule on.
library EnergyClaim {
    using JsonText for bytes;
    using OcmfRecord for OcmfRecord.Record;

    bytes32 private constant NAME = keccak256("metered_energy");
    uint256 private constant STREAM_BIT = 39; // of counters: the fiscal stream, without sessions

    /// @dev Whether the number at `offset` is the reading that the claim begins or ends with, and
    /// another one than the claim says.
    /// @param record the claim's first or last record, of which all readings are good
    /// @param offset where the number begins
    /// @param atEnd whether it is the last record
    /// @param records how many the claim has
    function compare(
        OcmfRecord.Record memory record,
        IPaymentRail.Claim calldata claim,
        address product,
        uint256 offset,
        bool atEnd,
        uint256 records
    ) internal view returns (IChallenges.Reason) {
        (bool sound, Facts memory facts) = EnergyBytes.facts(claim.facts);
        bool plain = isEnergy(product) && sound && facts.steps == 1
            && (facts.kind == Kind.Actual || facts.kind == Kind.Late);
        if (!plain) revert IChallenges.NeedsRuling();
        Step memory step = EnergyBytes.step(claim.facts, 0);
        (bool found, OcmfRecord.Reading memory reading, uint256 begins) =
            record.ofRegister(uint48(step.register), atEnd);
        if (!atEnd) _requireBegin(record, claim, product, step, begins, records);
        // a register that the record does not show is none that the claim can end with
        if (!found) reading = record.readings[record.count - 1];
        if (offset == 0 || reading.value.from != offset) return IChallenges.Reason.NotThatNumber;
        uint256 decimals = OcmfFields.decimalsOf(record.text, reading.unit);
        (bool digits, uint256 value) =
            OcmfFields.milliwattHours(record.text, reading.value, decimals);
        if (!digits) return IChallenges.Reason.NotPlainNumber;
        uint256 time = OcmfFields.time(record.text, reading.time);
        bool agrees = found && value == (atEnd ? step.to : step.from)
            && time == (atEnd ? facts.to : facts.from);
        return agrees ? IChallenges.Reason.RegisterAgrees : IChallenges.Reason.Proven;
    }

    /// @dev Whether a product is metered energy, whose claims rest on their own records alone.
    function isEnergy(address product) internal view returns (bool) {
        return keccak256(bytes(IProduct(product).name())) == NAME;
    }

    /// @dev The first reading of the first record is the claim's begin: of a session, and no later
    /// session may be what the claim begins with.
    function _requireBegin(
        OcmfRecord.Record memory record,
        IPaymentRail.Claim calldata claim,
        address product,
        Step memory step,
        uint256 begins,
        uint256 records
    ) private view {
        (,, uint176 kept) = IEnergyTerms(product).beginOf(claim.agreement);
        EnergyTerms terms = EnergyTerms.wrap(uint256(kept) << 80);
        OcmfRecord.Reading memory first = record.readings[0];
        bool session = first.mark.from != 0 && record.text.equals(first.mark, "B");
        bool single = records == 1
            || (terms.prices() == 1 && !OcmfFields.isPerSession(step.register));
        bool fiscal = claim.firstCounter >> STREAM_BIT != 0;
        if (terms.continuous() || fiscal || !session || begins != 1 || !single) {
            revert IChallenges.NeedsRuling();
        }
    }
}
