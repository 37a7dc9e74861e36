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

/// @title What the rail remembers: agreements, running sums, roles and the pause.
abstract contract RailBooks is IPaymentRail, ReentrancyGuardTransient {
    using SafeCast for uint256;

    /// One slot: all that a settlement changes in an agreement.
    struct Hot {
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
        Hot hot;
        Terms terms;
        address payer;
        uint40 firstCounter; // only late claims need to look
        bytes32 device;
    }

    /// One slot, so that a settlement pays for its number, its sums and the pause at once.
    struct Books {
        uint64 escrow;
        uint64 pending;
        uint64 settlements;
        bool paused;
    }

    /// The sums that charges do not touch.
    struct PaidBooks {
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

    address public immutable steward;
    address public immutable guardian;
    IERC20 public immutable token;
    IOracleCommittee public immutable committee;
    IDeviceRegistry public immutable registry;

    Books internal _books;
    PaidBooks internal _paid;
    address[] internal _productList;
    mapping(address product => Product) internal _products;
    mapping(bytes32 agreement => Agreement) internal _agreements;
    mapping(bytes32 device => bytes32 agreement) public agreementOf;
    mapping(address payee => mapping(uint32 releaseAt => uint256)) public pending;
    mapping(address payee => uint256) public withdrawable;
    mapping(address payee => bytes32) public payoutAccount;
    mapping(bytes32 root => uint256) public settledAt;
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

    function allowProduct(address product, bool allowed) external {
        // resolve
        Product storage one = _products[product];
        // check
        if (msg.sender != steward) revert NotSteward(msg.sender);
        if (product.code.length == 0) revert ProductNotAllowed(product);
        // effect
        if (one.index == 0) {
            _productList.push(product);
            one.index = _productList.length.toUint8();
            one.traits = IProduct(product).traits();
        }
        one.allowed = allowed;
        // event
        emit ProductAllowed(product, allowed);
    }

    function pause() external {
        if (msg.sender != guardian) revert NotGuardian(msg.sender);
        _books.paused = true;
        emit PauseSet(true);
    }

    function unpause() external {
        if (msg.sender != steward) revert NotSteward(msg.sender);
        _books.paused = false;
        emit PauseSet(false);
    }

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
        Hot memory hot = _agreements[agreement].hot;
        sequence = hot.sequence;
        lastCounter = hot.lastCounter;
        escrow = hot.escrow;
        spent = hot.spent;
        expiry = hot.expiry;
        status = uint8(hot.status);
    }

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
        Agreement storage one = _known(agreement);
        Terms memory terms = one.terms;
        payer = one.payer;
        payee = terms.payee;
        device = one.device;
        product = _productList[one.hot.product - 1];
        cap = terms.cap;
        periodDays = terms.periodDays;
        window = terms.window;
        requiredDomain = one.hot.requiredDomain;
    }

    function totals()
        external
        view
        returns (uint256, uint256, uint256, uint256, uint256, uint256)
    {
        PaidBooks memory paid = _paid;
        return (
            _books.escrow,
            _books.pending,
            paid.withdrawable,
            paid.frozen,
            paid.redeemed,
            paid.owed
        );
    }

    function settlements() external view returns (uint256) {
        return _books.settlements;
    }

    function paused() external view returns (bool) {
        return _books.paused;
    }

    function _known(bytes32 agreement) internal view returns (Agreement storage one) {
        one = _agreements[agreement];
        if (one.hot.status == Status.None) revert UnknownAgreement(agreement);
    }

    /// Writes the hot slot at once; member by member it would be written five times.
    function _storeHot(Hot storage slot, Hot memory hot) internal {
        uint256 word = uint256(hot.sequence) | uint256(hot.lastCounter) << 32
            | uint256(hot.escrow) << 72 | uint256(hot.spent) << 120
            | uint256(hot.periodStart) << 168 | uint256(hot.expiry) << 200
            | uint256(hot.product) << 232 | uint256(hot.requiredDomain) << 240
            | uint256(uint8(hot.status)) << 248;
        assembly ("memory-safe") {
            sstore(slot.slot, word)
        }
    }

    /// Puts tokens that the rail already holds into an agreement's escrow.
    function _addEscrow(Agreement storage one, uint256 amount) internal {
        uint256 escrow = one.hot.escrow + amount;
        if (escrow > type(uint48).max) revert AmountTooLarge(amount);
        one.hot.escrow = uint48(escrow);
        _books.escrow += uint64(amount);
    }

    function _addWithdrawable(address payee, uint256 amount) internal {
        withdrawable[payee] += amount;
        _paid.withdrawable += amount.toUint64();
    }
}
