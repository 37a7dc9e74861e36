// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProduct} from "../../../contracts/interfaces/IProduct.sol";
import {Quotes, Reply} from "../../../contracts/libraries/Quotes.sol";

/// A rail for a product whose claims are compared with Python's, many agreements in one call.
/// Stories: each uint32 start, uint16 length of the terms, terms, uint8 claims; each claim uint48
/// refunded before it, then its quote without note, agreement zero.
/// Answers: 1 byte for each opening, 0 where it reverted; 7 bytes for each claim of one that did
/// not, int48 amount and uint8 refusal.
contract IndexStories {
    uint256 private constant HEAD = 7; // bytes of a story without its terms
    uint256 private constant REFUND = 6;
    uint256 private constant QUOTE = 73; // bytes without device and facts
    uint256 private constant NOTE = 32; // where in a quote
    uint256 private constant DEVICE_FLAG = 2;

    struct Agreed {
        bytes32 agreement;
        uint256[] shared;
        uint80 note;
    }

    function follow(IProduct product, bytes32 device, bytes calldata stories)
        external
        returns (bytes memory answers)
    {
        answers = new bytes(stories.length); // an answer is shorter than what is asked
        uint256 end;
        Agreed memory agreed;
        agreed.shared = new uint256[](1);
        for (uint256 at; at < stories.length;) {
            uint40 start = uint32(bytes4(stories[at:at + 4]));
            uint256 length = uint16(bytes2(stories[at + 4:at + 6]));
            bytes calldata terms = stories[at + 6:at + 6 + length];
            uint256 claims = uint8(stories[at + 6 + length]);
            agreed.agreement = bytes32(at + 1);
            bool opened = _open(agreed, product, device, start, terms);
            answers[end++] = opened ? bytes1(uint8(1)) : bytes1(0);
            at += HEAD + length;
            for (; claims != 0; --claims) {
                bytes calldata claim = stories[at:at + REFUND + _quoteLength(stories[at + REFUND:])];
                at += claim.length;
                if (!opened) continue;
                bytes7 answer = _price(agreed, product, claim);
                for (uint256 i; i < 7; ++i) answers[end++] = answer[i];
            }
        }
        assembly ("memory-safe") {
            mstore(answers, end)
        }
    }

    function _open(
        Agreed memory agreed,
        IProduct product,
        bytes32 device,
        uint40 start,
        bytes calldata terms
    ) private returns (bool) {
        try product.open(agreed.agreement, device, start, terms) returns (
            uint32, uint256 shared, uint80 note
        ) {
            (agreed.shared[0], agreed.note) = (shared, note);
            return true;
        } catch (bytes memory reason) {
            require(bytes4(reason) == IProduct.TermsMalformed.selector, "reverts without a name");
            return false;
        }
    }

    function _price(Agreed memory agreed, IProduct product, bytes calldata claim)
        private
        returns (bytes7)
    {
        uint48 refund = uint48(bytes6(claim[:REFUND]));
        if (refund != 0) product.refunded(agreed.agreement, refund);
        bytes memory quote = bytes.concat(
            agreed.agreement,
            bytes10(agreed.note),
            claim[REFUND + NOTE + 10:]
        );
        Reply reply = product.price(agreed.shared, 1, quote)[0];
        if (reply.refusal() == 0) agreed.note = reply.newNote();
        return bytes7(bytes32(Reply.unwrap(reply)));
    }

    function _quoteLength(bytes calldata quote) private pure returns (uint256 length) {
        length = QUOTE + uint16(bytes2(quote[71:73]));
        if (uint8(quote[63]) & DEVICE_FLAG != 0) length += 32;
    }
}
