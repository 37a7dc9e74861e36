// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {Quote, Quotes, Reply} from "../libraries/Quotes.sol";
import {Traits} from "../libraries/Traits.sol";
import {DeliveryState} from "./delivery/DeliveryState.sol";

/// Versions of this contract from the first one on know which digests a claim brought.
interface IUsedDigests {
    /// @notice Says whether a claim brought this digest, here or in an earlier version.
    /// @param digest what a recipient signed
    /// @return brought whether it counts no more
    function used(bytes32 digest) external view returns (bool brought);
}

/// @title Delivery by milestones: picked up, delivered, accepted, each as the recipient states it.
/// @notice The agreement's device is the recipient's. Its signed records are statements; each stands
/// until it is withdrawn, and counts once however often it is made. What is owed follows from those that stand:
///   price x (pickedUpBps where a pick-up stands + deliveredBps x received / quantity
///            + acceptedBps x accepted / quantity - lateness - breaches) / 10,000
/// rounded down, never below zero. A claim's amount is what is owed after it less what was charged
/// before it: below zero where a statement was withdrawn or a breach came out.
/// Lateness: lateBpsPerHour for each hour begun after dueAt, at most lateMaxBps, of the units that
/// came so late. Breaches: breachBps for too cold, the same for too hot, shockBps for a shock, at
/// most breachMaxBps, of the units received; what nobody measured costs as one breach until it is.
/// A record signed after the deadline pays nothing; it may still give back. One signed before the
/// agreement's start, or later than now, is refused. What a dispute refunded, no withdrawal gives back
/// again.
/// Terms: abi.encode of Terms, facts: abi.encode of Facts. Temperatures are hundredths of a degree
/// Celsius, shocks thousandths of standard gravity, times Unix seconds, shares basis points.
/// Every claim brings a signature of the recipient's over a SHA-256 digest that no claim brought
/// before, here or in the version that the steward named as the one before this. Carrier and sensor
/// count only through what the recipient confirms.
/// Warning: the contract sees the digest, not the document; that it says what the facts say is the
/// oracles' word. A hostile quorum needs a fresh signature of the recipient's key, and could lie
/// about what it stands under; a required domain of the payer's side in the mandate closes that.
/// Warning: the recipient can withhold its signature; the deadline then refunds the payer.
contract ProofOfDelivery is IProduct, IUsedDigests, AccessManaged {
    struct Terms {
        bytes32 consignment; // keccak256 of its name, such as "sscc:" and 18 digits
        bytes32 carrier; // the device that scans pick-ups
        bytes32 sensor; // the device that measures conditions; zero: none is agreed
        Deal deal;
    }

    /// The part of the terms that prices: two slots.
    struct Deal {
        uint48 price; // token minor units
        uint32 quantity; // units in the consignment
        uint16 pickedUpBps;
        uint16 deliveredBps;
        uint16 acceptedBps;
        uint40 dueAt;
        uint40 deadline;
        uint16 lateBpsPerHour;
        uint16 lateMaxBps;
        int32 minCentiC;
        int32 maxCentiC;
        uint16 breachBps; // 0: temperature is not agreed
        uint32 shockMilliG;
        uint16 shockBps; // 0: shock is not agreed
        uint16 breachMaxBps;
    }

    /// What one record of the recipient states, or withdraws.
    struct Facts {
        bool withdrawn;
        uint32 received;
        uint32 accepted;
        uint40 pickedUpAt; // 0: no pick-up is confirmed
        uint40 deliveredAt; // 0: nothing is received
        uint40 acceptedAt; // 0: nothing is accepted
        uint8 sensed; // TEMPERATURE, SHOCK or both
        int32 minCentiC;
        int32 maxCentiC;
        uint32 maxMilliG;
        uint40 signedAt;
        bytes32 statement; // names the events; a withdrawal bears the name of what it withdraws
        bytes32 digest; // what the recipient signed
        bytes32 r;
        bytes32 s;
    }

    /// 1 is IProduct's OVER_LIMIT; the order is what `refusalName` and the rail's 100 + n speak of.
    enum Answer {
        Priced,
        OverLimit,
        FactsMalformed,
        QuantityExceeded,
        DeadlinePassed,
        DeviceNotActive,
        SignatureUsed,
        SignatureInvalid,
        TimeBackwards, // signed before the agreement's start
        TimeAhead // signed after the agreement's end, or later than now
    }

    /// @notice A record signed after the deadline would have earned more, which is not paid.
    /// @param agreement id of the agreement
    /// @param amount what is not paid, token minor units
    event MilestoneCut(bytes32 indexed agreement, uint256 amount);

    /// @notice A withdrawal gave back less, because a dispute had refunded the charge before.
    /// @param agreement id of the agreement
    /// @param amount what it did not give back, token minor units
    event RefundOffset(bytes32 indexed agreement, uint48 amount);

    /// @notice The version before this one was named: what was used there counts no more here.
    /// @param predecessor a contract of this kind
    event PredecessorSet(address predecessor);

    /// @notice A predecessor was named before, or this is none.
    /// @param predecessor what was to be named
    error PredecessorInvalid(address predecessor);

    uint32 private constant GRACE = 1 days; // claims after the agreement's end
    uint8 private constant TEMPERATURE = 1;
    uint8 private constant SHOCK = 2;
    uint256 private constant BPS = 10_000;
    // each word's bits; 0: all of them, INT32: a signed number of 32
    uint8 private constant INT32 = 0xff;
    bytes private constant TERMS_BITS = hex"000000302010101028281010ffff10201010";
    bytes private constant FACTS_BITS = hex"01202028282802ffff202800000000";

    /// @notice The rail that may call.
    address public immutable rail;
    /// @notice Which devices were active when, and with which keys.
    IDeviceRegistry public immutable registry;
    /// @notice The pricing terms of each agreement.
    mapping(bytes32 agreement => Deal) public dealOf;
    /// @notice The sums over the statements that stand, of each agreement.
    mapping(bytes32 agreement => DeliveryState.State) public stateOf;
    /// @notice Whether a statement stands.
    mapping(bytes32 agreement => mapping(bytes32 statement => bool)) public stands;
    /// @dev Digests that no claim may bring, in every agreement.
    mapping(bytes32 digest => bool) private _used;
    /// @notice The version before this one; zero: none.
    address public predecessor;

    modifier onlyRail() {
        if (msg.sender != rail) revert NotTheRail(msg.sender);
        _;
    }

    constructor(address rail_, address registry_)
        AccessManaged(IAccessManaged(registry_).authority())
    {
        rail = rail_;
        registry = IDeviceRegistry(registry_);
    }

    /// @inheritdoc IProduct
    function name() external pure returns (string memory) {
        return "proof_of_delivery";
    }

    /// @inheritdoc IProduct
    function version() external pure returns (uint8) {
        return 2;
    }

    /// @inheritdoc IProduct
    function traits() external pure returns (uint8) {
        return Traits.SHARED;
    }

    /// @inheritdoc IProduct
    function refusalName(uint8 refusal) external pure returns (string memory) {
        string[10] memory names = [
            "Priced", "OverLimit", "FactsMalformed", "QuantityExceeded", "DeadlinePassed",
            "DeviceNotActive", "SignatureUsed", "SignatureInvalid", "TimeBackwards", "TimeAhead"
        ];
        return refusal < names.length ? names[refusal] : "";
    }

    /// @inheritdoc IUsedDigests
    function used(bytes32 digest) public view returns (bool) {
        if (_used[digest]) return true;
        return predecessor != address(0) && IUsedDigests(predecessor).used(digest);
    }

    /// @notice Names the version before this one, once. Only the steward, with the manager's delay.
    /// @param predecessor_ a contract of this kind
    function setPredecessor(address predecessor_) external restricted {
        // check
        bool named = predecessor != address(0) || predecessor_ == address(this);
        if (named || predecessor_.code.length == 0) revert PredecessorInvalid(predecessor_);
        // effect
        predecessor = predecessor_;
        // event
        emit PredecessorSet(predecessor_);
    }

    /// @inheritdoc IProduct
    function open(bytes32 agreement, bytes32 device, uint40 start, bytes calldata terms)
        external
        onlyRail
        returns (uint32, uint256, uint80)
    {
        // check
        if (!_fits(terms, TERMS_BITS) || start > type(uint32).max) revert TermsMalformed(terms);
        // resolve
        Terms memory agreed = abi.decode(terms, (Terms));
        if (!_sound(agreed, device)) revert TermsMalformed(terms);
        // effect
        dealOf[agreement] = agreed.deal;
        stateOf[agreement].start = uint32(start);
        // what everybody has seen of this key: its proof of possession, here or before the adoption
        address owner = registry.ownerOf(device);
        _used[_enrolment(address(registry), device, owner)] = true;
        if (registry.adoptedAt(device) != 0) {
            _used[_enrolment(registry.predecessor(), device, owner)] = true;
        }
        return (GRACE, 0, 0);
    }

    /// @inheritdoc IProduct
    function price(uint256[] calldata, uint256 count, bytes calldata quotes)
        external
        onlyRail
        returns (Reply[] memory replies)
    {
        replies = new Reply[](count);
        Quote quote = Quotes.first(quotes);
        for (uint256 i; i < count; ++i) {
            (int48 amount, Answer answer) = _price(quote);
            bool priced = answer == Answer.Priced;
            replies[i] = priced ? Quotes.priced(amount, 0) : Quotes.refused(uint8(answer));
            quote = quote.next();
        }
    }

    /// @inheritdoc IProduct
    function refunded(bytes32 agreement, uint48 amount) external onlyRail {
        stateOf[agreement].refunded += amount;
    }

    /// @inheritdoc IProduct
    /// @dev Nothing changes: a delivery record that was passed over neither stands nor is charged.
    function skipped(bytes32, uint80) external view onlyRail returns (uint80) {}

    function _price(Quote quote) private returns (int48, Answer) {
        // resolve
        bytes32 agreement = quote.agreement();
        (bool sound, Facts memory facts) = _facts(quote.facts());
        if (!sound) return (0, Answer.FactsMalformed);
        Deal memory deal = dealOf[agreement];
        DeliveryState.State memory state = stateOf[agreement];
        // check
        if (facts.signedAt < state.start) return (0, Answer.TimeBackwards);
        if (facts.signedAt > quote.until()) return (0, Answer.TimeAhead);
        Answer answer = _judge(quote.device(), deal, facts);
        if (answer != Answer.Priced) return (0, answer);
        bool changes = stands[agreement][facts.statement] == facts.withdrawn;
        if (changes) _move(state, deal, facts);
        int256 amount = int256(_owed(deal, state)) - int256(uint256(state.charged));
        uint256 cut;
        if (facts.signedAt > deal.deadline && amount > 0) (cut, amount) = (uint256(amount), 0);
        if (amount > int256(uint256(quote.limit()))) return (0, Answer.OverLimit);
        // effect
        _used[facts.digest] = true;
        if (changes) stands[agreement][facts.statement] = !facts.withdrawn;
        state.charged = uint48(uint256(int256(uint256(state.charged)) + amount));
        uint48 offset = amount < 0 ? uint48(_within(-amount, state.refunded)) : 0;
        (state.refunded, amount) = (state.refunded - offset, amount + int256(uint256(offset)));
        stateOf[agreement] = state;
        // event
        if (cut != 0) emit MilestoneCut(agreement, cut);
        if (offset != 0) emit RefundOffset(agreement, offset);
        return (int48(amount), Answer.Priced);
    }

    /// @dev What can be decided without looking at what stands: oracles decide the same beforehand.
    function _judge(bytes32 device, Deal memory deal, Facts memory facts) private view returns (Answer) {
        uint32 most = facts.received > facts.accepted ? facts.received : facts.accepted;
        if (most > deal.quantity) return Answer.QuantityExceeded;
        uint40 last = facts.deliveredAt > facts.acceptedAt ? facts.deliveredAt : facts.acceptedAt;
        if (last > deal.deadline) return Answer.DeadlinePassed;
        (IDeviceRegistry.Status status, IDeviceRegistry.Curve curve, bytes32 x, bytes32 y) =
            registry.keyAt(device, facts.signedAt);
        if (status != IDeviceRegistry.Status.Active) return Answer.DeviceNotActive;
        if (used(facts.digest)) return Answer.SignatureUsed;
        bool genuine = registry.verify(curve, x, y, facts.digest, facts.r, facts.s);
        return genuine ? Answer.Priced : Answer.SignatureInvalid;
    }

    /// @dev Adds a statement to the sums, or takes a withdrawn one out of them again.
    function _move(DeliveryState.State memory state, Deal memory deal, Facts memory facts) private pure {
        int32 sign = facts.withdrawn ? -1 : int32(1);
        state.received += int56(sign) * int56(uint56(facts.received));
        state.accepted += int56(sign) * int56(uint56(facts.accepted));
        int256 late = int256(uint256(facts.received) * _lateBps(deal, facts.deliveredAt));
        state.lateness += int64(int256(sign) * late);
        if (facts.pickedUpAt != 0) state.pickups += sign;
        if (facts.sensed & TEMPERATURE != 0) {
            state.thermometers += sign;
            if (facts.minCentiC < deal.minCentiC) state.cold += sign;
            if (facts.maxCentiC > deal.maxCentiC) state.hot += sign;
        }
        if (facts.sensed & SHOCK != 0) {
            state.accelerometers += sign;
            if (facts.maxMilliG > deal.shockMilliG) state.shocks += sign;
        }
    }

    /// @dev What the standing statements are worth. Nothing is accepted that was not received.
    function _owed(Deal memory deal, DeliveryState.State memory state) private pure returns (uint256) {
        uint256 quantity = deal.quantity;
        uint256 received = _within(state.received, quantity);
        uint256 earned = received * deal.deliveredBps + _within(state.accepted, received) * deal.acceptedBps;
        if (state.pickups > 0) earned += quantity * deal.pickedUpBps;
        uint256 lost = _within(state.lateness, received * deal.lateMaxBps)
            + received * _breachBps(deal, state);
        if (lost >= earned) return 0;
        return deal.price * (earned - lost) / (quantity * BPS);
    }

    /// @dev Every hour begun counts, up to the agreed most.
    function _lateBps(Deal memory deal, uint40 deliveredAt) private pure returns (uint256) {
        if (deliveredAt <= deal.dueAt) return 0;
        uint256 begun = (uint256(deliveredAt) - deal.dueAt + 1 hours - 1) / 1 hours;
        uint256 bps = begun * deal.lateBpsPerHour;
        return bps < deal.lateMaxBps ? bps : deal.lateMaxBps;
    }

    function _breachBps(Deal memory deal, DeliveryState.State memory state) private pure returns (uint256) {
        uint256 bps;
        if (state.thermometers <= 0) bps += deal.breachBps;
        if (state.cold > 0) bps += deal.breachBps;
        if (state.hot > 0) bps += deal.breachBps;
        if (state.accelerometers <= 0 || state.shocks > 0) bps += deal.shockBps;
        return bps < deal.breachMaxBps ? bps : deal.breachMaxBps;
    }

    function _within(int256 value, uint256 most) private pure returns (uint256) {
        return value <= 0 ? 0 : uint256(value) < most ? uint256(value) : most;
    }

    function _enrolment(address registry_, bytes32 device, address owner) private view returns (bytes32) {
        return sha256(abi.encode("proofrail/enrol/v1", block.chainid, registry_, device, owner));
    }

    /// @dev The carrier neither receives nor measures; shares make a whole; bounds have a price.
    function _sound(Terms memory terms, bytes32 device) private pure returns (bool) {
        Deal memory deal = terms.deal;
        bytes32 carrier = terms.carrier;
        bool parties = terms.consignment != 0 && carrier != 0 && carrier != device && carrier != terms.sensor;
        uint256 shares = uint256(deal.pickedUpBps) + deal.deliveredBps + deal.acceptedBps;
        bool sale = deal.price != 0 && deal.price >> 47 == 0 && deal.quantity != 0 && shares == BPS;
        bool times = deal.dueAt != 0 && deal.deadline >= deal.dueAt && deal.lateMaxBps <= BPS
            && (deal.lateBpsPerHour == 0) == (deal.lateMaxBps == 0);
        bool conditions = deal.minCentiC <= deal.maxCentiC && deal.breachMaxBps <= BPS
            && (deal.breachBps != 0 || (deal.minCentiC == 0 && deal.maxCentiC == 0))
            && (deal.shockBps == 0) == (deal.shockMilliG == 0);
        bool measured = deal.breachBps != 0 || deal.shockBps != 0;
        return parties && sale && times && conditions && measured == (terms.sensor != 0)
            && measured == (deal.breachMaxBps != 0);
    }

    function _facts(bytes calldata raw) private pure returns (bool, Facts memory facts) {
        if (!_fits(raw, FACTS_BITS)) return (false, facts);
        facts = abi.decode(raw, (Facts));
        return (_coherent(facts), facts);
    }

    /// @dev What is counted has a time; what was not sensed is zero.
    function _coherent(Facts memory facts) private pure returns (bool) {
        bool counted = (facts.received == 0) == (facts.deliveredAt == 0)
            && (facts.accepted == 0) == (facts.acceptedAt == 0);
        bool thermal = facts.minCentiC <= facts.maxCentiC
            && (facts.sensed & TEMPERATURE != 0 || (facts.minCentiC == 0 && facts.maxCentiC == 0));
        return counted && thermal && (facts.sensed & SHOCK != 0 || facts.maxMilliG == 0);
    }

    /// @dev Whether each word is within its type: `abi.decode` alone would revert without a name, and a
    /// bad claim must not stop its neighbours.
    function _fits(bytes calldata raw, bytes memory bits) private pure returns (bool) {
        if (raw.length != bits.length * 32) return false;
        for (uint256 i; i < bits.length; ++i) {
            (uint256 word, uint8 wide) = (uint256(bytes32(raw[i * 32:])), uint8(bits[i]));
            bool fits = wide == INT32 ? int256(word) == int32(int256(word)) : word >> wide == 0;
            if (!fits && wide != 0) return false;
        }
        return true;
    }
}
