// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceRegistry} from "../../interfaces/IDeviceRegistry.sol";
import {IProduct} from "../../interfaces/IProduct.sol";
import {Code} from "../../libraries/Code.sol";
import {Quote, Quotes, Reply} from "../../libraries/Quotes.sol";
import {Scratch} from "../../libraries/Scratch.sol";
import {Traits} from "../../libraries/Traits.sol";
import {Facts, IndexFacts} from "./IndexFacts.sol";
import {IndexSeal} from "./IndexSeal.sol";
import {Curve, IndexTerms, Tariff} from "./IndexTerms.sol";

/// @title A price from measured numbers: what most products that read reports have in common.
/// @notice amount = max(floor, min(ceiling, (base + sum of curves) * product of factors / 10000^n)),
/// rounded down, in token minor units; a curve is piecewise linear in one metric. One claim is one
/// period. The last one may be stated again, as the period with the same end: it costs the difference.
/// Terms: uint8 version (1), uint16 length of the tariff, the tariff (IndexTerms.sol), then uint8 the
/// least assurance (0 device, 1 gateway, 2 file), what the agreement is about as text (uint8 length,
/// text), and how records become metrics; what follows the tariff is for oracles. Agreements with one
/// tariff share it: its code is stored once, and a batch reads it once.
/// A leaf of this contract is a name. Refusals are named, and nothing of a quote can revert.
/// Warning: it bounds what a report may say; that the report is true is the oracles' word.
abstract contract Index is IProduct {
    /// 1 is IProduct's OVER_LIMIT; the order is what `refusalName` and the rail's 100 + n speak of.
    enum Answer {
        Priced,
        OverLimit,
        FactsMalformed,
        PeriodUnexpected, // of another length, or it overlaps what was charged
        TimeAhead,
        MetricOutside,
        CoverageShort,
        SourcesShort,
        DeviceNotActive,
        SignatureInvalid,
        PremiumUnpaid // ParametricCover.sol
    }

    /// @notice A period stated again gave back less, because a dispute had refunded it before.
    /// @param agreement id of the agreement
    /// @param amount what it did not give back, token minor units
    event RefundOffset(bytes32 indexed agreement, uint48 amount);

    uint32 private constant GRACE = 7 days; // reports of the last period come after its end
    uint8 private constant TERMS_VERSION = 1;
    uint256 private constant HEAD = 3; // bytes of terms before the tariff
    uint256 private constant LEAST_ASSURANCE = 2; // a file
    uint80 private constant CHARGED = 1 << 76; // of a note

    /// @notice The rail that may call.
    address public immutable rail;
    /// @notice Which devices were active when.
    IDeviceRegistry public immutable registry;
    /// @notice What was refunded, and not given back by a restated period since.
    mapping(bytes32 agreement => uint48) public refundedOf;

    modifier onlyRail() {
        if (msg.sender != rail) revert NotTheRail(msg.sender);
        _;
    }

    constructor(address rail_, address registry_) {
        rail = rail_;
        registry = IDeviceRegistry(registry_);
    }

    /// @inheritdoc IProduct
    function version() external pure returns (uint8) {
        return 1;
    }

    /// @inheritdoc IProduct
    function traits() external pure returns (uint8) {
        return Traits.SHARED;
    }

    /// @inheritdoc IProduct
    function refusalName(uint8 refusal) external pure returns (string memory) {
        string[11] memory names = [
            "Priced", "OverLimit", "FactsMalformed", "PeriodUnexpected", "TimeAhead",
            "MetricOutside", "CoverageShort", "SourcesShort", "DeviceNotActive",
            "SignatureInvalid", "PremiumUnpaid"
        ];
        return refusal < names.length ? names[refusal] : "";
    }

    /// @inheritdoc IProduct
    function open(bytes32 agreement, bytes32 device, uint40 start, bytes calldata terms)
        external
        onlyRail
        returns (uint32, uint256, uint80)
    {
        // resolve
        (bool sound, bytes memory raw, uint256 end) = _read(terms);
        // check
        bytes32 signer = sound ? IndexSeal.signer(IndexTerms.first(raw)) : bytes32(0);
        sound = sound && start <= type(uint32).max && (signer == 0 || signer == device);
        if (!sound || !_opened(agreement, terms[end:])) revert TermsMalformed(terms);
        // effect
        return (GRACE, uint256(Code.keep(raw)), start);
    }

    /// @inheritdoc IProduct
    function price(uint256[] calldata shared, uint256 count, bytes calldata quotes)
        external
        onlyRail
        returns (Reply[] memory replies)
    {
        replies = new Reply[](count);
        Quote quote = Quotes.first(quotes);
        (uint256 mark, uint256 loaded, Tariff tariff) = (Scratch.mark(), 0, Tariff.wrap(0));
        for (uint256 i; i < count; ++i) {
            uint256 wanted = shared[quote.group()];
            if (wanted != loaded) {
                Scratch.free(mark);
                tariff = IndexTerms.first(Code.read(bytes32(wanted)));
                loaded = wanted;
            }
            (Answer answer, int256 amount, uint80 note) = _price(quote, tariff);
            bool priced = answer == Answer.Priced;
            replies[i] = priced ? Quotes.priced(amount, note) : Quotes.refused(uint8(answer));
            quote = quote.next();
        }
    }

    /// @inheritdoc IProduct
    function refunded(bytes32 agreement, uint48 amount) external onlyRail {
        refundedOf[agreement] += amount;
    }

    /// @inheritdoc IProduct
    /// @dev Nothing changes: a report that was passed over is a period that was never charged.
    function skipped(bytes32, uint80 note) external view onlyRail returns (uint80) {
        return note;
    }

    /// @notice Says what facts come to under terms, before what was charged for the period.
    /// @param terms as in a mandate
    /// @param facts as in a claim
    /// @return refusal 0 where they are priced, else one that `refusalName` names; FactsMalformed
    /// also where the terms are none
    /// @return amount token minor units
    function amountOf(bytes calldata terms, bytes calldata facts)
        external
        pure
        returns (uint8 refusal, int256 amount)
    {
        (bool sound, bytes memory raw,) = _read(terms);
        if (!sound) return (uint8(Answer.FactsMalformed), 0);
        Answer answer = _judge(IndexTerms.first(raw), facts);
        if (answer == Answer.Priced) amount = _amount(IndexTerms.first(raw), IndexFacts.first(facts));
        return (uint8(answer), amount);
    }

    function _price(Quote quote, Tariff tariff)
        private
        returns (Answer answer, int256 amount, uint80 note)
    {
        // resolve
        bytes calldata raw = quote.facts();
        Facts facts = IndexFacts.first(raw);
        // check
        answer = _judge(tariff, raw);
        if (answer != Answer.Priced) return (answer, 0, 0);
        if (facts.to() > quote.until()) return (Answer.TimeAhead, 0, 0);
        answer = _vouched(quote, tariff, facts);
        if (answer != Answer.Priced) return (answer, 0, 0);
        (answer, amount, note) = _inOrder(quote.note(), facts, _amount(tariff, facts));
        if (answer != Answer.Priced) return (answer, 0, 0);
        if (amount > int256(uint256(quote.limit()))) return (Answer.OverLimit, 0, 0);
        if (!_admits(quote, facts)) return (Answer.PremiumUnpaid, 0, 0);
        // effect
        if (amount < 0) amount += _offset(quote.agreement(), amount);
    }

    /// @dev Whether the device was active, and where the tariff asks for it, signed the report: then a
    /// quorum of oracles can invent no number.
    function _vouched(Quote quote, Tariff tariff, Facts facts) private view returns (Answer) {
        (bytes32 device, uint40 to) = (quote.device(), uint40(facts.to()));
        if (IndexSeal.signer(tariff) == 0) {
            bool active = device == 0 || registry.activeAt(device, to);
            return active ? Answer.Priced : Answer.DeviceNotActive;
        }
        (IDeviceRegistry.Status status, IDeviceRegistry.Curve curve, bytes32 x, bytes32 y) =
            registry.keyAt(device, to);
        if (status != IDeviceRegistry.Status.Active) return Answer.DeviceNotActive;
        bytes32 digest = IndexSeal.digest(tariff, facts, quote.lastCounter());
        (bytes32 r, bytes32 s) = facts.seal(tariff.metrics()).signature();
        bool genuine = registry.verify(curve, x, y, digest, r, s);
        return genuine ? Answer.Priced : Answer.SignatureInvalid;
    }

    /// @dev What can be decided of facts alone: oracles decide the same beforehand.
    function _judge(Tariff tariff, bytes calldata raw) private pure returns (Answer) {
        uint256 metrics = tariff.metrics();
        uint256 length = IndexFacts.HEAD + metrics * IndexFacts.METRIC;
        if (IndexSeal.signer(tariff) != 0) length += IndexFacts.SEAL;
        if (raw.length != length) return Answer.FactsMalformed;
        Facts facts = IndexFacts.first(raw);
        (uint256 from, uint256 to) = (facts.from(), facts.to());
        if (to <= from || facts.coverage() > uint256(IndexTerms.FULL)) {
            return Answer.FactsMalformed;
        }
        if (to - from < tariff.shortest() || to - from > tariff.longest()) {
            return Answer.PeriodUnexpected;
        }
        for (uint256 i; i < metrics; ++i) {
            (int256 least, int256 most) = tariff.bounds(i);
            if (facts.metric(i) < least || facts.metric(i) > most) return Answer.MetricOutside;
        }
        if (facts.coverage() < tariff.coverage()) return Answer.CoverageShort;
        return facts.sources() < tariff.sources() ? Answer.SourcesShort : Answer.Priced;
    }

    /// @dev The formula. Its numbers cannot overflow, as a sound tariff cannot.
    function _amount(Tariff tariff, Facts facts) private pure returns (int256 amount) {
        int256 factors = 1;
        int256 whole = 1;
        Curve curve = tariff.firstCurve();
        amount = tariff.base();
        for (uint256 i = tariff.curves(); i != 0; --i) {
            int256 y = curve.at(facts.metric(curve.metric()));
            if (curve.isFactor()) (factors, whole) = (factors * y, whole * IndexTerms.FULL);
            else amount += y;
            curve = curve.next();
        }
        if (whole != 1) amount = IndexTerms.floorDiv(amount * factors, whole);
        if (amount > tariff.ceiling()) amount = tariff.ceiling();
        if (amount < tariff.floor()) amount = tariff.floor();
    }

    /// @dev What is still due for a period that follows the last one, or for the last one stated
    /// again. The note, from the lowest bit: 32 bits where the last period ended, 44 what it came to,
    /// 1 whether there was one; before, it is where the agreement began.
    function _inOrder(uint80 note, Facts facts, int256 amount)
        private
        pure
        returns (Answer, int256, uint80)
    {
        uint256 end = uint32(note);
        uint80 after_ = CHARGED | uint80(uint256(amount)) << 32 | uint80(facts.to());
        if (facts.from() >= end) return (Answer.Priced, amount, after_);
        if (facts.to() != end || note & CHARGED == 0) return (Answer.PeriodUnexpected, 0, 0);
        return (Answer.Priced, amount - int256(uint256(note & ~CHARGED) >> 32), after_);
    }

    /// @dev What was refunded is not given back again: the part of a restatement that it covers.
    function _offset(bytes32 agreement, int256 amount) private returns (int256 part) {
        int256 refund = int256(uint256(refundedOf[agreement]));
        if (refund == 0) return 0;
        part = -amount < refund ? -amount : refund;
        refundedOf[agreement] = uint48(uint256(refund - part));
        emit RefundOffset(agreement, uint48(uint256(part)));
    }

    /// @dev Whether terms are sound, their tariff, and where the text behind it begins: how records
    /// become metrics.
    function _read(bytes calldata terms)
        private
        pure
        returns (bool sound, bytes memory raw, uint256 end)
    {
        if (terms.length < HEAD || uint8(terms[0]) != TERMS_VERSION) return (false, raw, 0);
        uint256 tariff = HEAD + uint16(bytes2(terms[1:HEAD]));
        if (terms.length < tariff + 2 || uint8(terms[tariff]) > LEAST_ASSURANCE) {
            return (false, raw, 0);
        }
        uint256 about = uint8(terms[tariff + 1]);
        end = tariff + 2 + about;
        if (about == 0 || terms.length < end) return (false, raw, 0);
        raw = terms[HEAD:tariff];
        return (IndexTerms.isSound(raw), raw, end);
    }

    /// @dev For a leaf that keeps something of an agreement's own text; false: the text is malformed.
    function _opened(bytes32, bytes calldata) internal virtual returns (bool sound) {
        return true;
    }

    /// @dev For a leaf with a condition of its own on a claim that is priced otherwise.
    function _admits(Quote, Facts) internal virtual returns (bool met) {
        return true;
    }
}
