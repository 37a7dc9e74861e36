// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from
    "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {IOracleCommittee} from "../interfaces/IOracleCommittee.sol";
import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IProduct} from "../interfaces/IProduct.sol";
import {Roles} from "../libraries/Roles.sol";

/// @title What the rail stores: agreements, running sums, frozen payments, products and the pause.
/// @notice Holds the storage that every part of the rail shares, the functions that read it, and
/// those of steward and guardian. The queues of debts are in RailDebts.
abstract contract RailState is IPaymentRail, AccessManaged, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// One slot: all that a settlement changes in an agreement while it is live.
    struct Live {
        uint32 sequence;
        uint40 lastCounter;
        uint48 escrow;
        uint48 spent; // charges of the current period, less debts that were paid in it
        uint32 periodStart;
        uint32 expiry; // the last second of facts
        uint8 product; // index in the list of products
        uint8 requiredDomain;
        Status status;
    }

    /// One slot: all else that a settlement reads.
    struct Terms {
        address payee; // zero: each claim's payee is the product's answer
        uint48 cap;
        uint32 window;
        uint16 periodDays;
    }

    struct Agreement {
        Live live;
        Terms terms;
        address payer; // one slot with the next three: what late claims and ends look at
        uint40 firstCounter;
        uint32 pausedBefore; // length of all pauses before the opening
        uint24 grace; // seconds
        bytes32 device;
        uint64 cameIn; // funded, refunded or paid back, less reclaimed: the rest was charged
        uint64 givenBack; // refunds and corrections
        uint48 bond;
    }

    /// One slot, so that a settlement pays for its number, its sums and the pause at once.
    struct Totals {
        uint64 escrow;
        uint64 pending;
        uint64 settlements;
        uint32 pausedUntil;
        uint32 pausedTotal; // of all pauses, the present one in full
    }

    /// The sums that charges do not touch.
    struct PaidTotals {
        uint64 withdrawable;
        uint64 frozen;
        uint64 redeemed;
        uint64 owed; // open debts of all payees: a memo, not tokens
    }

    struct Product {
        uint8 index; // from 1
        uint8 traits; // as it said when it was first allowed
        bool allowed;
    }

    struct Frozen {
        bytes32 agreement; // zero: never disputed
        uint48 amount; // zero: ended
        address payee;
    }

    struct Settlement {
        uint40 time;
        uint216 signers;
    }

    /// @notice The longest that a pause lasts, in seconds.
    uint32 public constant MAX_PAUSE = 7 days;
    /// @notice How long after a pause there is no other, in seconds.
    uint32 public constant COOL_DOWN = 14 days;

    /// @notice The token that agreements are paid in.
    IERC20 public immutable token;
    /// @notice Whose quorum attests claims and rules on disputes.
    IOracleCommittee public immutable committee;
    /// @notice Which devices are active, and who owns them.
    IDeviceRegistry public immutable registry;

    Totals internal _totals;
    PaidTotals internal _paidTotals;
    address[] internal _productList;
    mapping(address product => Product) internal _products;
    mapping(bytes32 agreement => Agreement) internal _agreements;
    /// @inheritdoc IPaymentRail
    mapping(bytes32 device => bytes32 agreement) public agreementOf;
    /// @inheritdoc IPaymentRail
    mapping(address payee => mapping(uint32 releaseAt => uint256)) public pending;
    /// @inheritdoc IPaymentRail
    mapping(address payee => uint256) public withdrawable;
    /// @inheritdoc IPaymentRail
    mapping(bytes32 root => Settlement) public settledAt;
    /// @inheritdoc IPaymentRail
    mapping(bytes32 payment => Frozen) public frozen;

    constructor(address access_, address token_, address committee_, address registry_)
        AccessManaged(access_)
    {
        token = IERC20(token_);
        committee = IOracleCommittee(committee_);
        registry = IDeviceRegistry(registry_);
    }

    /// @inheritdoc IPaymentRail
    function allowProduct(address product) external restricted {
        // resolve
        Product storage product_ = _products[product];
        // check
        if (product.code.length == 0) revert ProductNotAllowed(product);
        // effect
        if (product_.index == 0) {
            _productList.push(product);
            product_.index = _productList.length.toUint8();
            product_.traits = IProduct(product).traits();
        }
        product_.allowed = true;
        // event
        emit ProductAllowed(product, true);
    }

    /// @inheritdoc IPaymentRail
    function disallowProduct(address product) external {
        // check
        _requireRole(Roles.GUARDIAN);
        if (_products[product].index == 0) revert ProductNotAllowed(product);
        // effect
        _products[product].allowed = false;
        // event
        emit ProductAllowed(product, false);
    }

    /// @inheritdoc IPaymentRail
    function pause() external {
        // resolve
        uint256 due = _totals.pausedUntil == 0 ? 0 : uint256(_totals.pausedUntil) + COOL_DOWN;
        // check
        _requireRole(Roles.GUARDIAN);
        if (block.timestamp < due) revert PausedLately(due);
        // effect
        _totals.pausedUntil = uint32(block.timestamp) + MAX_PAUSE;
        _totals.pausedTotal += MAX_PAUSE;
        // event
        emit PauseSet(_totals.pausedUntil);
    }

    /// @inheritdoc IPaymentRail
    function unpause() external restricted {
        // check
        if (!paused()) revert NotYetDue(_totals.pausedUntil);
        // effect
        _totals.pausedTotal -= _totals.pausedUntil - uint32(block.timestamp);
        _totals.pausedUntil = uint32(block.timestamp);
        // event
        emit PauseSet(uint32(block.timestamp));
    }

    /// @inheritdoc IPaymentRail
    function sweep(address to) external restricted nonReentrant {
        // resolve
        uint256 claimed = uint256(_totals.escrow) + _totals.pending + _paidTotals.withdrawable
            + _paidTotals.frozen;
        uint256 amount = token.balanceOf(address(this)) - claimed;
        // check
        if (amount == 0) revert NothingDue(to);
        // event
        emit Swept(to, amount);
        // interaction
        token.safeTransfer(to, amount);
    }

    /// @inheritdoc IPaymentRail
    function agreementState(bytes32 agreement)
        external
        view
        returns (
            uint32 sequence,
            uint40 lastCounter,
            uint48 escrow,
            uint48 spent,
            uint32 expiry,
            uint8 status
        )
    {
        Live memory live = _agreements[agreement].live;
        sequence = live.sequence;
        lastCounter = live.lastCounter;
        escrow = live.escrow;
        spent = live.spent;
        expiry = live.expiry;
        status = uint8(live.status);
    }

    /// @inheritdoc IPaymentRail
    function agreementTerms(bytes32 agreement)
        external
        view
        returns (
            address payer,
            address payee,
            bytes32 device,
            address product,
            uint48 cap,
            uint16 periodDays,
            uint32 window,
            uint8 requiredDomain
        )
    {
        Agreement storage agreement_ = _existing(agreement);
        Terms memory terms = agreement_.terms;
        payer = agreement_.payer;
        payee = terms.payee;
        device = agreement_.device;
        product = _productOf(agreement_);
        cap = terms.cap;
        periodDays = terms.periodDays;
        window = terms.window;
        requiredDomain = agreement_.live.requiredDomain;
    }

    /// @inheritdoc IPaymentRail
    function agreementEnd(bytes32 agreement)
        external
        view
        returns (uint256 endsAt, uint32 grace, uint48 bond, uint256 charged, uint256 givenBack)
    {
        Agreement storage agreement_ = _existing(agreement);
        endsAt = _endsAt(agreement_);
        grace = agreement_.grace;
        bond = agreement_.bond;
        charged = _charged(agreement_);
        givenBack = agreement_.givenBack;
    }

    /// @inheritdoc IPaymentRail
    function totals()
        external
        view
        returns (uint256, uint256, uint256, uint256, uint256, uint256)
    {
        PaidTotals memory paid = _paidTotals;
        return (
            _totals.escrow,
            _totals.pending,
            paid.withdrawable,
            paid.frozen,
            paid.redeemed,
            paid.owed
        );
    }

    /// @inheritdoc IPaymentRail
    function settlements() external view returns (uint256) {
        return _totals.settlements;
    }

    /// @inheritdoc IPaymentRail
    function paused() public view returns (bool) {
        return block.timestamp < _totals.pausedUntil;
    }

    /// @inheritdoc IPaymentRail
    function pauses() external view returns (uint32 until, uint32 total) {
        return (_totals.pausedUntil, _totals.pausedTotal);
    }

    function _requireRole(uint64 role) internal view {
        if (!Roles.holds(authority(), role, msg.sender)) revert NotInRole(msg.sender, role);
    }

    function _existing(bytes32 agreement) internal view returns (Agreement storage agreement_) {
        agreement_ = _agreements[agreement];
        if (agreement_.live.status == Status.None) revert UnknownAgreement(agreement);
    }

    function _productOf(Agreement storage agreement_) internal view returns (address) {
        return _productList[agreement_.live.product - 1];
    }

    /// @dev The last second in which claims are taken: what was signed before the expiry has the
    /// grace to settle, and each pause since the opening gives its length back.
    function _endsAt(Agreement storage agreement_) internal view returns (uint256) {
        uint256 paused_ = _totals.pausedTotal - agreement_.pausedBefore;
        return uint256(agreement_.live.expiry) + agreement_.grace + paused_;
    }

    /// @dev All that was ever charged: what came in and is not in the escrow.
    function _charged(Agreement storage agreement_) internal view returns (uint256) {
        return agreement_.cameIn - agreement_.live.escrow;
    }

    /// @dev Writes the slot at once; member by member it would be written five times.
    function _storeLive(Live storage slot, Live memory live) internal {
        uint256 word = uint256(live.sequence) | uint256(live.lastCounter) << 32
            | uint256(live.escrow) << 72 | uint256(live.spent) << 120
            | uint256(live.periodStart) << 168 | uint256(live.expiry) << 200
            | uint256(live.product) << 232 | uint256(live.requiredDomain) << 240
            | uint256(uint8(live.status)) << 248;
        assembly ("memory-safe") {
            sstore(slot.slot, word)
        }
    }

    /// @dev Puts tokens that the rail already holds into an agreement's escrow.
    function _addEscrow(Agreement storage agreement_, uint256 amount) internal {
        uint256 escrow = agreement_.live.escrow + amount;
        if (escrow > type(uint48).max) revert AmountTooLarge(amount);
        agreement_.live.escrow = uint48(escrow);
        agreement_.cameIn += uint64(amount);
        _totals.escrow += uint64(amount);
    }

    function _addWithdrawable(address payee, uint256 amount) internal {
        withdrawable[payee] += amount;
        _paidTotals.withdrawable += amount.toUint64();
    }

    function _takeWithdrawable(address payee, uint256 amount) internal {
        withdrawable[payee] -= amount;
        _paidTotals.withdrawable -= amount.toUint64();
    }
}
