// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from
    "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IDeviceRegistry} from "../interfaces/IDeviceRegistry.sol";
import {IOracleCommittee} from "../interfaces/IOracleCommittee.sol";
import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IProduct} from "../interfaces/IProduct.sol";

/// @title What the rail stores: agreements, running sums, disputes, roles and the pause.
/// @notice Holds the storage that every part of the rail shares, the functions that read it, and
/// those of the steward and the guardian. The queues of debts are in RailDebts.
abstract contract RailState is IPaymentRail, ReentrancyGuardTransient {
    using SafeCast for uint256;

    /// One slot: all that a settlement changes in an agreement while it is live.
    struct Live {
        uint32 sequence;
        uint40 lastCounter;
        uint48 escrow;
        uint48 spent; // in the current period
        uint32 periodStart;
        uint32 expiry;
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
        address payer;
        uint40 firstCounter; // only late claims need to look
        bytes32 device;
    }

    /// One slot, so that a settlement pays for its number, its sums and the pause at once.
    struct Totals {
        uint64 escrow;
        uint64 pending;
        uint64 settlements;
        bool paused;
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

    struct Dispute {
        bytes32 agreement; // zero: never disputed
        uint48 amount; // zero: ended
        address payee;
    }

    /// @notice Who lists products and lets the rail run again.
    address public immutable steward;
    /// @notice Who may stop `open` and `settle`.
    address public immutable guardian;
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
    mapping(address payee => bytes32) public payoutAccount;
    /// @inheritdoc IPaymentRail
    mapping(bytes32 root => uint256) public settledAt;
    /// @inheritdoc IPaymentRail
    mapping(bytes32 payment => Dispute) public frozen;

    constructor(
        address steward_,
        address guardian_,
        address token_,
        address committee_,
        address registry_
    ) {
        steward = steward_;
        guardian = guardian_;
        token = IERC20(token_);
        committee = IOracleCommittee(committee_);
        registry = IDeviceRegistry(registry_);
    }

    /// @inheritdoc IPaymentRail
    function allowProduct(address product, bool allowed) external {
        // resolve
        Product storage product_ = _products[product];
        // check
        if (msg.sender != steward) revert NotSteward(msg.sender);
        if (product.code.length == 0) revert ProductNotAllowed(product);
        // effect
        if (product_.index == 0) {
            _productList.push(product);
            product_.index = _productList.length.toUint8();
            product_.traits = IProduct(product).traits();
        }
        product_.allowed = allowed;
        // event
        emit ProductAllowed(product, allowed);
    }

    /// @inheritdoc IPaymentRail
    function pause() external {
        if (msg.sender != guardian) revert NotGuardian(msg.sender);
        _totals.paused = true;
        emit PauseSet(true);
    }

    /// @inheritdoc IPaymentRail
    function unpause() external {
        if (msg.sender != steward) revert NotSteward(msg.sender);
        _totals.paused = false;
        emit PauseSet(false);
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
        product = _productList[agreement_.live.product - 1];
        cap = terms.cap;
        periodDays = terms.periodDays;
        window = terms.window;
        requiredDomain = agreement_.live.requiredDomain;
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
    function paused() external view returns (bool) {
        return _totals.paused;
    }

    function _existing(bytes32 agreement) internal view returns (Agreement storage agreement_) {
        agreement_ = _agreements[agreement];
        if (agreement_.live.status == Status.None) revert UnknownAgreement(agreement);
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
        _totals.escrow += uint64(amount);
    }

    function _addWithdrawable(address payee, uint256 amount) internal {
        withdrawable[payee] += amount;
        _paidTotals.withdrawable += amount.toUint64();
    }
}
