// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {Claims} from "../libraries/Claims.sol";
import {Quote} from "../libraries/Quotes.sol";
import {Index} from "./index/Index.sol";
import {Facts} from "./index/IndexFacts.sol";

/// @title Cover by index: what weather stations measured in a season comes to a payment, without a loss adjuster.
/// @notice The oracles derive the median of the listed stations; index/Index.sol prices it.
/// Where the terms have a line `premium=` with the id of another agreement, each season needs one of
/// that agreement's payments, settled before the season began: the insured proves it here.
contract ParametricCover is Index {
    struct Cover {
        bytes32 premium; // agreement that the premium is paid by; zero: none is asked for
        uint32 proved; // sequence of the last proved payment
        uint32 seasons; // that were charged
        uint40[] paidAt; // when proved payments were settled, Unix seconds, rising
    }

    /// @notice A premium counts for the next season that begins after it was settled.
    /// @param agreement id of the cover
    /// @param payment id of the premium
    /// @param paidAt when it was settled, Unix seconds
    event PremiumProved(bytes32 indexed agreement, bytes32 indexed payment, uint40 paidAt);

    /// @notice Only the insured, the payee of the cover, proves its premiums.
    /// @param caller who called
    error NotInsured(address caller);

    /// @notice It is no settled payment of the agreement that the terms name, or not a later one
    /// than the last that was proved.
    /// @param payment id of the payment
    error PremiumInvalid(bytes32 payment);

    /// @notice The payment was disputed: it proves nothing, however the dispute ended.
    /// @param payment id of the payment
    error PremiumDisputed(bytes32 payment);

    /// @notice The payment can still be disputed.
    /// @param releaseAt end of its dispute window, Unix seconds
    error PremiumPending(uint32 releaseAt);

    bytes8 private constant LINE = "premium=";
    bytes32 private constant NONE = keccak256("none");
    uint256 private constant ID = 66; // characters of 0x and 32 bytes in hex

    mapping(bytes32 agreement => Cover) private _covers;

    constructor(address rail_, address registry_) Index(rail_, registry_) {}

    /// @notice Proves that a premium was paid: a settled outcome of the agreement that the cover's
    /// terms name, past its dispute window and never disputed. Only the insured, in rising order.
    /// @param agreement id of the cover
    /// @param sequence the premium's number within its agreement
    /// @param outcome its leaf of the settlement's Merkle tree
    /// @param root root of that tree
    /// @param proof hashes from the leaf to the root
    function provePremium(
        bytes32 agreement,
        uint32 sequence,
        IPaymentRail.Outcome calldata outcome,
        bytes32 root,
        bytes32[] calldata proof
    ) external {
        // resolve
        Cover storage cover = _covers[agreement];
        bytes32 payment = Claims.payment(cover.premium, sequence);
        (, address insured,,,,,,) = IPaymentRail(rail).agreementTerms(agreement);
        (uint40 paidAt,) = IPaymentRail(rail).settledAt(root);
        (bytes32 disputed,,) = IPaymentRail(rail).frozen(payment);
        // check
        if (msg.sender != insured) revert NotInsured(msg.sender);
        bool settled = paidAt != 0 && outcome.payment == payment && outcome.amount > 0
            && MerkleProof.verifyCalldata(proof, root, Claims.leaf(outcome));
        if (!settled || sequence <= cover.proved) {
            revert PremiumInvalid(payment);
        }
        if (disputed != 0) revert PremiumDisputed(payment);
        if (block.timestamp < outcome.releaseAt) revert PremiumPending(outcome.releaseAt);
        // effect
        cover.proved = sequence;
        cover.paidAt.push(paidAt);
        // event
        emit PremiumProved(agreement, payment, paidAt);
    }

    /// @notice Says what a cover's premiums are.
    /// @param agreement id of the cover
    /// @return cover premium zero: its terms ask for none
    function coverOf(bytes32 agreement) external view returns (Cover memory cover) {
        return _covers[agreement];
    }

    /// @notice Names the product.
    /// @return its name in snake_case
    function name() external pure returns (string memory) {
        return "parametric_cover";
    }

    /// @dev Keeps which agreement pays the premium. The text has a line for each term.
    function _opened(bytes32 agreement, bytes calldata text) internal override returns (bool) {
        for (uint256 at; at < text.length;) {
            uint256 end = at;
            while (end < text.length && text[end] != "\n") ++end;
            bytes calldata line = text[at:end];
            if (line.length > LINE.length && bytes8(line) == LINE) {
                bytes calldata value = line[LINE.length:];
                if (keccak256(value) == NONE) return true;
                if (value.length != ID || bytes2(value) != "0x") return false;
                (bool sound, uint256 premium) = Strings.tryParseHexUint(string(value));
                _covers[agreement].premium = bytes32(premium);
                return sound && premium != 0;
            }
            at = end + 1;
        }
        return true;
    }

    /// @dev Whether the next premium was settled before the season began. A season that is stated
    /// again begins before the end of the last one, which is what the note begins with.
    function _admits(Quote quote, Facts facts) internal override returns (bool) {
        Cover storage cover = _covers[quote.agreement()];
        uint256 from = facts.from();
        if (cover.premium == 0 || from < uint32(quote.note())) return true;
        uint256 season = cover.seasons;
        if (season == cover.paidAt.length || cover.paidAt[season] > from) return false;
        cover.seasons = uint32(season + 1);
        return true;
    }
}
