// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {Quote, Quotes, Reply} from "../libraries/Quotes.sol";
import {Scratch} from "../libraries/Scratch.sol";
import {Traits} from "../libraries/Traits.sol";
import {FleetBytes, FleetHead, FleetNote, FleetTerms} from "./fleet/FleetBytes.sol";
import {Advanced, FleetAnswer, FleetRules} from "./fleet/FleetRules.sol";

/// @title Energy of many meters: one payer, one payee, one claim a period.
/// @notice The agreement's own device, the head, ends each period. The meters are named in the terms,
/// each with the row that it begins with; all of them are owned by the head's owner, who consents to
/// the mandate, and so to them. The contract keeps one hash of all rows: a claim shows the rows, and
/// a step for each; fleet/FleetRules.sol checks them, fleet/FleetBytes.sol says how they are written.
/// Energy is charged by the registers alone, rounded down once over all claims of the agreement.
/// A member that was silent is charged when it speaks again. The claim behind counters that payer
/// and payee passed over brings the rows up to date and charges nothing; a member that is silent in
/// it keeps its row.
/// Warning: whether a member was active when it signed, the oracles judge as they verify its record:
/// asking the registry would cost 3,500 gas for each. Here the head alone is asked about.
contract MeteredFleet is IProduct {
    using Quotes for Reply[];

    uint32 private constant GRACE = 1 days; // claims after the agreement's end
    uint256 private constant WH_PER_KWH = 1_000;

    /// @notice The rail that may call.
    address public immutable rail;
    /// @notice Which devices were active when, and who owns them.
    IDeviceRegistry public immutable registry;
    /// @notice keccak256 of the rows of an agreement, in order of its members.
    mapping(bytes32 agreement => bytes32) public rowsOf;

    modifier onlyRail() {
        if (msg.sender != rail) revert NotTheRail(msg.sender);
        _;
    }

    constructor(address rail_, address registry_) {
        rail = rail_;
        registry = IDeviceRegistry(registry_);
    }

    /// @inheritdoc IProduct
    function name() external pure returns (string memory) {
        return "metered_fleet";
    }

    /// @inheritdoc IProduct
    function version() external pure returns (uint8) {
        return 1;
    }

    /// @inheritdoc IProduct
    function traits() external pure returns (uint8) {
        return Traits.STEADY;
    }

    /// @inheritdoc IProduct
    function refusalName(uint8 refusal) external pure returns (string memory) {
        string[12] memory names = [
            "Priced", "OverLimit", "FactsMalformed", "KindUnexpected", "PeriodUnexpected",
            "TimeAhead", "RowsUnknown", "CounterStands", "ReadingOutside", "FuseExceeded",
            "RowOverflow", "DeviceNotActive"
        ];
        return refusal < names.length ? names[refusal] : "";
    }

    /// @inheritdoc IProduct
    function open(bytes32 agreement, bytes32 device, uint40 start, bytes calldata raw)
        external
        onlyRail
        returns (uint32, uint256, uint80)
    {
        // resolve
        (bool sound, FleetTerms terms, uint32 started) = FleetBytes.terms(raw);
        // check
        sound = sound && started <= block.timestamp && start <= type(uint32).max;
        if (!sound || !_membersSound(device, terms, raw)) revert TermsMalformed(raw);
        // effect
        rowsOf[agreement] = keccak256(FleetBytes.rows(raw, terms.members()));
        FleetNote note = FleetBytes.fresh(started, uint32(start));
        return (GRACE, FleetTerms.unwrap(terms), FleetNote.unwrap(note));
    }

    /// @inheritdoc IProduct
    function price(uint256[] calldata shared, uint256 count, bytes calldata quotes)
        external
        onlyRail
        returns (Reply[] memory replies)
    {
        replies = new Reply[](count);
        Quote quote = Quotes.first(quotes);
        uint256 mark = Scratch.mark();
        for (uint256 i; i < count; ++i) {
            replies.put(i, _price(quote, FleetTerms.wrap(shared[quote.group()])));
            Scratch.free(mark);
            quote = quote.next();
        }
        replies.answer();
    }

    /// @inheritdoc IProduct
    /// @dev Nothing changes: no claim gives back anything that was refunded before.
    function refunded(bytes32, uint48) external view onlyRail {}

    /// @inheritdoc IProduct
    /// @dev What the registers rose by until then is not charged, of those that are read next.
    function skipped(bytes32, uint80 note) external view onlyRail returns (uint80) {
        return FleetNote.unwrap(FleetNote.wrap(note).passed());
    }

    function _price(Quote quote, FleetTerms terms) private returns (Reply) {
        // resolve
        bytes calldata facts = quote.facts();
        FleetNote note = FleetNote.wrap(quote.note());
        (bool sound, FleetHead head) = FleetBytes.head(facts, terms.members());
        // check
        if (!sound) return _no(FleetAnswer.FactsMalformed);
        FleetAnswer answer = _inOrder(head, terms, note, quote.until());
        if (answer != FleetAnswer.Priced) return _no(answer);
        uint256 elapsed = head.to() / 1 minutes - head.from() / 1 minutes;
        Advanced memory advanced =
            FleetRules.advance(facts, terms.members(), elapsed, terms.fuseWatts());
        if (advanced.before != rowsOf[quote.agreement()]) return _no(FleetAnswer.RowsUnknown);
        if (advanced.answer != FleetAnswer.Priced) return _no(advanced.answer);
        bytes32 device = quote.device();
        if (device != 0 && !registry.activeAt(device, uint40(head.to()))) {
            return _no(FleetAnswer.DeviceNotActive);
        }
        uint256 exact = note.remainder();
        if (!head.onlyReads()) exact += advanced.energy * terms.price();
        uint256 amount = exact / WH_PER_KWH;
        if (amount > quote.limit()) return _no(FleetAnswer.OverLimit);
        // effect
        rowsOf[quote.agreement()] = advanced.after_;
        FleetNote next = FleetBytes.charged(head.to(), exact % WH_PER_KWH);
        return Quotes.priced(int256(amount), FleetNote.unwrap(next));
    }

    /// @dev Whether a claim is the one that comes next, and has its length.
    function _inOrder(FleetHead head, FleetTerms terms, FleetNote note, uint256 until)
        private
        pure
        returns (FleetAnswer)
    {
        if (head.onlyReads() != note.wasPassedOver()) return FleetAnswer.KindUnexpected;
        bool follows = head.from() == note.time() && head.to() >= note.start()
            && head.to() >= note.time() + terms.period();
        if (!follows) return FleetAnswer.PeriodUnexpected;
        return head.to() > until ? FleetAnswer.TimeAhead : FleetAnswer.Priced;
    }

    /// @dev Whether the members are others than the head, each named once, of its owner, and with a row
    /// whose numbers can rise.
    function _membersSound(bytes32 device, FleetTerms terms, bytes calldata raw)
        private
        view
        returns (bool)
    {
        address owner = registry.ownerOf(device);
        uint256 count = terms.members();
        bytes32 previous;
        for (uint256 i; i < count; ++i) {
            bytes32 member = FleetBytes.member(raw, i);
            if (member <= previous || member == device) return false;
            if (!FleetBytes.hasRoom(raw, count, i)) return false;
            if (registry.ownerOf(member) != owner) return false;
            previous = member;
        }
        return true;
    }

    function _no(FleetAnswer answer) private pure returns (Reply) {
        return Quotes.refused(uint8(answer));
    }
}
