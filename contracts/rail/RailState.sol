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
import {Row, Rows} from "../libraries/Rows.sol";

/// @title What the rail stores: agreements, running sums, frozen payments, products and the pause.
/// @notice Holds the storage that every part of the rail shares, the functions that read it, and
/// those of steward and guardian. The queues of debts are in RailDebts.
abstract contract RailState is IPaymentRail, AccessManaged, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// All of an agreement that a settlement in its daily run neither reads nor changes.
    struct Agreement {
        bytes32 group; // key of its row: what it has in common with others
        address payer; // one slot with the next three: what late claims and ends look at
        uint40 firstCounter;
        uint32 pausedBefore; // length of all pauses before the opening
        uint24 grace; // seconds
        bytes32 device;
        address payee; // one slot with the next three
        uint48 cap;
        uint32 window;
        uint16 periodDays;
        uint64 cameIn; // funded, refunded or paid back, less reclaimed: the rest was charged
        uint64 givenBack; // refunds and corrections
        uint48 bond;
        uint32 expiry; // the last second of facts
        uint8 product; // index in the list of products
        uint8 requiredDomain;
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
    mapping(bytes32 group => mapping(bytes32 agreement => Row)) internal _rows;
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
        Row row = _row(agreement);
        sequence = uint32(row.sequence());
        lastCounter = uint40(row.counter());
        escrow = uint48(row.escrow());
        spent = uint48(row.spent());
        expiry = _agreements[agreement].expiry;
        status = uint8(row.status());
    }

    /// @inheritdoc IPaymentRail
    function noteOf(bytes32 agreement) external view returns (uint80 note, bool steady) {
        Row row = _row(agreement);
        return (row.note(), row.steady());
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
        payer = agreement_.payer;
        payee = agreement_.payee;
        device = agreement_.device;
        product = _productOf(agreement_);
        cap = agreement_.cap;
        periodDays = agreement_.periodDays;
        window = agreement_.window;
        requiredDomain = agreement_.requiredDomain;
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
        charged = agreement_.cameIn - _row(agreement).escrow();
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
        if (agreement_.group == 0) revert UnknownAgreement(agreement);
    }

    function _productOf(Agreement storage agreement_) internal view returns (address) {
        return _productList[agreement_.product - 1];
    }

    function _row(bytes32 agreement) internal view returns (Row) {
        return _rows[_agreements[agreement].group][agreement];
    }

    function _storeRow(bytes32 agreement, Row row) internal {
        _rows[_agreements[agreement].group][agreement] = row;
    }

    /// @dev The last second in which claims are taken: what was signed before the expiry has the
    /// grace to settle, and each pause since the opening gives its length back.
    function _endsAt(Agreement storage agreement_) internal view returns (uint256) {
        uint256 paused_ = _totals.pausedTotal - agreement_.pausedBefore;
        return uint256(agreement_.expiry) + agreement_.grace + paused_;
    }

    /// @dev Number of the present period: periods are whole days, counted from 1970.
    function _periodNow(uint256 periodDays) internal view returns (uint256) {
        return periodDays == 0 ? 0 : block.timestamp / 1 days / periodDays;
    }

    /// @dev Puts tokens that the rail already holds into an agreement's escrow. What is charged was
    /// funded, so what comes back always fits next to the most that can be funded.
    function _addEscrow(bytes32 agreement, Row row, uint256 amount) internal {
        _storeRow(agreement, row.withEscrow(row.escrow() + amount));
        _agreements[agreement].cameIn += uint64(amount);
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
