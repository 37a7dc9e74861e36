// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IPaymentRail} from "../../../contracts/interfaces/IPaymentRail.sol";
import {IProduct} from "../../../contracts/interfaces/IProduct.sol";
import {Merkle} from "../../../contracts/libraries/Merkle.sol";

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

    function open(bytes32, bytes32, uint40, bytes calldata) external returns (uint32) {}

    function refunded(bytes32, uint48) external pure {
        revert("a product that fails");
    }

    function skipped(bytes32) external pure {
        revert("a product that fails");
    }

    function price(Quote[] calldata quotes) external returns (Price[] memory prices) {
        if (target != address(0)) {
            (bool done, bytes memory answer) = target.call(payload);
            if (!done) {
                assembly {
                    revert(add(answer, 32), mload(answer))
                }
            }
        }
        prices = new Price[](short ? quotes.length - 1 : quotes.length);
        for (uint256 i; i < prices.length; ++i) {
            prices[i].amount = amount;
        }
    }
}

/// A product whose facts are its answer, abi.encode(int48 amount, address payee); its events repeat
/// what the rail asked.
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
        returns (uint32)
    {
        emit Opened(agreement, device, start);
        return terms.length == 32 ? abi.decode(terms, (uint32)) : 0;
    }

    function refunded(bytes32 agreement, uint48 amount) external {
        emit RefundHeard(agreement, amount);
    }

    function skipped(bytes32 agreement) external {
        emit SkipHeard(agreement);
    }

    function price(Quote[] calldata quotes) external returns (Price[] memory prices) {
        prices = new Price[](quotes.length);
        for (uint256 i; i < quotes.length; ++i) {
            Quote calldata quote = quotes[i];
            (int48 amount, address payee) = abi.decode(quote.facts, (int48, address));
            bool over = amount > int256(uint256(quote.limit));
            prices[i] = over ? Price(0, 1, address(0)) : Price(amount, 0, payee);
            emit Quoted(
                quote.agreement,
                quote.device,
                quote.limit,
                quote.late,
                quote.until,
                quote.claimedTo
            );
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

    function open(bytes32, bytes32, uint40, bytes calldata) external returns (uint32) {}

    function refunded(bytes32, uint48) external pure {
        revert("a product that fails");
    }

    function skipped(bytes32) external pure {
        revert("a product that fails");
    }

    function price(Quote[] calldata quotes) external pure returns (Price[] memory) {
        return new Price[](quotes.length);
    }
}

/// The library's answers, for comparison with Python's.
contract Trees {
    function root(bytes32[] memory leaves) external pure returns (bytes32) {
        return Merkle.root(leaves);
    }
}
