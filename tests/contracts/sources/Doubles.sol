// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IPaymentRail} from "../../../contracts/interfaces/IPaymentRail.sol";
import {IProduct} from "../../../contracts/interfaces/IProduct.sol";
import {Merkle} from "../../../contracts/libraries/Merkle.sol";
import {Quote, Quotes, Reply} from "../../../contracts/libraries/Quotes.sol";
import {Traits} from "../../../contracts/libraries/Traits.sol";

/// A wallet contract whose owner signs for it (ERC-1271).
contract Wallet {
    address private immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature)
        external
        view
        returns (bytes4)
    {
        return ECDSA.recoverCalldata(hash, signature) == owner ? this.isValidSignature.selector : bytes4(0);
    }
}

/// A token that keeps a hundredth of every transfer.
contract TaxedToken is ERC20("taxed", "TAX") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        uint256 tax = from == address(0) ? 0 : amount / 100;
        super._update(from, to, amount - tax);
    }
}

/// A product that answers as the test sets it, or calls back into the rail.
contract RogueProduct is IProduct {
    int48 private amount;
    bool private short;
    address private target;
    bytes private payload;

    function answerWith(int48 amount_, bool short_, address target_, bytes calldata payload_) external {
        (amount, short, target, payload) = (amount_, short_, target_, payload_);
    }

    function name() external pure returns (string memory) {
        return "rogue";
    }

    function version() external pure returns (uint8) {
        return 1;
    }

    function refusalName(uint8) external pure returns (string memory) {
        return "";
    }

    function traits() external pure returns (uint8) {
        return 0;
    }

    function open(bytes32, bytes32, uint40, bytes calldata)
        external
        returns (uint32, uint256, uint80)
    {}

    function refunded(bytes32, uint48) external pure {
        revert("a product that fails");
    }

    function skipped(bytes32, uint80) external pure returns (uint80) {
        revert("a product that fails");
    }

    function price(uint256[] calldata, uint256 count, bytes calldata)
        external
        returns (Reply[] memory replies)
    {
        if (target != address(0)) {
            (bool done, bytes memory answer) = target.call(payload);
            if (!done) {
                assembly {
                    revert(add(answer, 32), mload(answer))
                }
            }
        }
        replies = new Reply[](short ? count - 1 : count);
        for (uint256 i; i < replies.length; ++i) {
            replies[i] = Quotes.priced(amount, 0);
        }
    }
}

/// A product whose facts are its answer, abi.encode(int48 amount, address payee), the payee with
/// Traits.ANY_PAYEE alone; its events repeat what the rail asked.
contract PlainProduct is IProduct {
    uint8 public immutable traits;

    event Opened(bytes32 indexed agreement, bytes32 device, uint40 start);
    event Quoted(
        bytes32 indexed agreement,
        bytes32 device,
        uint48 limit,
        bool late,
        uint40 until,
        uint40 claimedTo
    );
    event RefundHeard(bytes32 indexed agreement, uint48 amount);
    event SkipHeard(bytes32 indexed agreement);

    constructor(address, address, uint8 traits_) {
        traits = traits_;
    }

    function name() external pure returns (string memory) {
        return "plain";
    }

    function version() external pure returns (uint8) {
        return 1;
    }

    function refusalName(uint8 refusal) external pure returns (string memory) {
        return refusal == 1 ? "OverLimit" : "";
    }

    /// The terms are the grace that the product wants; none: none.
    function open(bytes32 agreement, bytes32 device, uint40 start, bytes calldata terms)
        external
        returns (uint32, uint256, uint80)
    {
        emit Opened(agreement, device, start);
        return (terms.length == 32 ? abi.decode(terms, (uint32)) : 0, 0, 0);
    }

    function refunded(bytes32 agreement, uint48 amount) external {
        emit RefundHeard(agreement, amount);
    }

    function skipped(bytes32 agreement, uint80 note) external returns (uint80) {
        emit SkipHeard(agreement);
        return note;
    }

    function price(uint256[] calldata, uint256 count, bytes calldata quotes)
        external
        returns (Reply[] memory replies)
    {
        replies = new Reply[](count);
        Quote quote = Quotes.first(quotes);
        for (uint256 i; i < count; ++i) {
            (int48 amount, address payee) = abi.decode(quote.facts(), (int48, address));
            if (amount > int256(uint256(quote.limit()))) replies[i] = Quotes.refused(1);
            else if (traits & Traits.ANY_PAYEE == 0) replies[i] = Quotes.priced(amount, 0);
            else replies[i] = Quotes.pricedFor(amount, payee);
            emit Quoted(
                quote.agreement(),
                quote.device(),
                quote.limit(),
                quote.late(),
                quote.until(),
                quote.claimedTo()
            );
            quote = quote.next();
        }
    }
}

/// A product that asks the rail for something else every day.
contract ShiftyProduct is IProduct {
    uint8 public traits;

    function become(uint8 traits_) external {
        traits = traits_;
    }

    function name() external pure returns (string memory) {
        return "shifty";
    }

    function version() external pure returns (uint8) {
        return 1;
    }

    function refusalName(uint8) external pure returns (string memory) {
        return "";
    }

    function open(bytes32, bytes32, uint40, bytes calldata)
        external
        returns (uint32, uint256, uint80)
    {}

    function refunded(bytes32, uint48) external pure {
        revert("a product that fails");
    }

    function skipped(bytes32, uint80) external pure returns (uint80) {
        revert("a product that fails");
    }

    function price(uint256[] calldata, uint256 count, bytes calldata)
        external
        pure
        returns (Reply[] memory)
    {
        return new Reply[](count);
    }
}

/// The library's answers, for comparison with Python's.
contract Trees {
    function root(bytes32[] memory leaves) external pure returns (bytes32) {
        return Merkle.root(leaves);
    }
}

/// A rail for a product alone: it keeps the notes, and asks about one claim after the other.
contract NotingRail {
    using Quotes for Quotes.Call;

    struct Claimed {
        bytes32 agreement;
        bytes32 device;
        uint48 limit;
        bool late;
        uint40 until;
        uint40 claimedTo;
        uint40 firstCounter;
        uint40 lastCounter;
        bytes facts;
    }

    struct Answered {
        int48 amount;
        uint8 refusal;
        address payee;
    }

    mapping(bytes32 agreement => uint256) private _shared;
    mapping(bytes32 agreement => uint80) private _notes;
    bool private immutable names;

    constructor(bool names_) {
        names = names_;
    }

    function open(
        IProduct product,
        bytes32 agreement,
        bytes32 device,
        uint40 start,
        bytes calldata terms
    ) external returns (uint32 grace) {
        (grace, _shared[agreement], _notes[agreement]) =
            product.open(agreement, device, start, terms);
    }

    function price(IProduct product, Claimed[] calldata claims)
        external
        returns (Answered[] memory answers)
    {
        answers = new Answered[](claims.length);
        for (uint256 i; i < claims.length; ++i) answers[i] = _priced(product, claims[i]);
    }

    function refunded(IProduct product, bytes32 agreement, uint48 amount) external {
        product.refunded(agreement, amount);
    }

    function skipped(IProduct product, bytes32 agreement) external {
        _notes[agreement] = product.skipped(agreement, _notes[agreement]);
    }

    function noteOf(bytes32 agreement) external view returns (uint80, bool) {
        return (_notes[agreement], false);
    }

    function _standing(Claimed calldata claim) private view returns (uint256) {
        uint256 counters = uint256(claim.firstCounter) << 40 | claim.lastCounter;
        uint80 note = _notes[claim.agreement];
        return Quotes.standing(note, claim.limit, claim.claimedTo, counters, claim.late);
    }

    function _priced(IProduct product, Claimed calldata claim)
        private
        returns (Answered memory answer)
    {
        bytes32[] memory shared = new bytes32[](1);
        shared[0] = bytes32(_shared[claim.agreement]);
        Quotes.Call memory call = Quotes.begin(
            IProduct.price.selector, shared, Quotes.mostBytes(1, claim.facts.length + 82)
        );
        call.ask(
            claim.agreement,
            _standing(claim),
            0,
            claim.until,
            claim.device,
            claim.facts
        );
        Reply reply = call.send(address(product))[0];
        answer.refusal = reply.refusal();
        answer.amount = int48(reply.amount());
        if (answer.refusal != 0) return answer;
        if (names) answer.payee = reply.payee();
        else _notes[claim.agreement] = reply.newNote();
    }
}
