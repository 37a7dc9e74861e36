// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "../../contracts/interfaces/IPaymentRail.sol";
import {VoucherFacts} from "./VoucherFacts.sol";

/// @title Who signs: the committee as the model has it; more signatures than a quorum, or less.
abstract contract Quorums is VoucherFacts {
    bytes32 private constant CLAIM_TYPE = keccak256(
        "Claim(bytes32 agreement,uint32 sequence,uint40 firstCounter,uint40 lastCounter,"
        "bytes32 evidence,bytes facts)"
    );
    bytes32 private constant ATTESTATION_TYPE = keccak256(
        "Attestation(address rail,address product,Claim[] claims)"
        "Claim(bytes32 agreement,uint32 sequence,uint40 firstCounter,uint40 lastCounter,"
        "bytes32 evidence,bytes facts)"
    );

    /// An oracle as the committee should have it.
    struct Seat {
        bool known; // was seated once
        bool seated;
        bool barred;
        bool silenced;
        uint8 index; // in the order of first seatings
    }

    /// Signatures, and what the model says of them.
    struct Signers {
        bytes[] signatures;
        uint256 count; // distinct members that can sign and are not left out
        uint216 bitmap; // of their indexes
        uint256 domains; // of their trust domains
        bool enough;
    }

    /// How signatures are chosen.
    struct Choice {
        uint216 excluded;
        uint256 most; // a quorum
        uint256 wish; // how many that count
        uint256 from; // the first oracle
        uint256 noise; // 1: also those that do not count; 2: one twice; 3: a broken one
        uint8 without; // a trust domain that does not sign; 0: none
        bool narrow; // one trust domain alone
        bool all; // those that are left out sign as well, in place of one of the others
        uint256 made;
    }

    mapping(uint256 oracle => Seat) internal seatOf;
    uint256 internal seatsKnown;

    function _seatFirst() internal {
        for (uint256 i; i < 5; ++i) {
            _seatGhost(i);
        }
    }

    function _seatGhost(uint256 oracle) internal {
        Seat storage seat_ = seatOf[oracle];
        if (!seat_.known) (seat_.known, seat_.index) = (true, uint8(seatsKnown++));
        (seat_.seated, seat_.silenced) = (true, false);
    }

    function _seatedCount() internal view returns (uint256 count) {
        for (uint256 i; i < oracles.length; ++i) {
            if (seatOf[i].seated) ++count;
        }
    }

    /// @dev More than two thirds of the seated.
    function _quorum() internal view returns (uint256) {
        uint256 seated = _seatedCount();
        if (seated == 0) return type(uint256).max;
        for (uint256 need = 1;; ++need) {
            if (3 * need > 2 * seated) return need;
        }
    }

    function _able(uint256 oracle) internal view returns (bool) {
        Seat storage seat_ = seatOf[oracle];
        return seat_.seated && !seat_.barred && !seat_.silenced;
    }

    function _ableCount(uint216 excluded) internal view returns (uint256 count, uint256 domains) {
        for (uint256 i; i < oracles.length; ++i) {
            if (!_able(i) || (excluded >> seatOf[i].index) & 1 == 1) continue;
            ++count;
            domains |= 1 << _domainOf(i);
        }
    }

    /// @dev Signatures over a struct hash: mostly enough, at times one too few, with strangers',
    /// silent members', repeated and broken ones between them.
    /// @param wanted a trust domain that must sign; mostly it does, at times all others do; 0: none
    function _signers(uint216 excluded, bytes32 structHash, uint8 wanted)
        internal
        returns (Signers memory made)
    {
        Choice memory choice = _choice(excluded, wanted);
        made.signatures = new bytes[](oracles.length + 1);
        for (uint256 i; i < oracles.length && (choice.all || made.count < choice.wish); ++i) {
            uint256 oracle = (choice.from + i) % oracles.length;
            if (choice.narrow && _domainOf(oracle) != 1) continue;
            if (choice.without != 0 && _domainOf(oracle) == choice.without) continue;
            _sign(made, choice, oracle, structHash);
        }
        bytes[] memory signatures = made.signatures;
        if (choice.noise == 2 && choice.made != 0) signatures[choice.made++] = signatures[0];
        if (choice.noise == 3) signatures[choice.made++] = hex"00";
        uint256 length = choice.made;
        assembly ("memory-safe") {
            mstore(signatures, length)
        }
        if (choice.noise != 3 && _once(2)) made.signatures = _joined(signatures); // whole ones alone
        made.enough = made.count >= choice.most && _bits(made.domains) >= MIN_DOMAINS;
        if (made.count >= choice.most && !made.enough) _hit("state:quorum of one trust domain");
        if (made.count + 1 == choice.most) _hit("state:one signature below the quorum");
        if (choice.noise == 1) _hit("state:signatures that do not count");
    }

    /// @dev The same signatures in one element.
    function _joined(bytes[] memory signatures) private pure returns (bytes[] memory elements) {
        elements = new bytes[](1);
        for (uint256 i; i < signatures.length; ++i) {
            elements[0] = bytes.concat(elements[0], signatures[i]);
        }
    }

    function _choice(uint216 excluded, uint8 wanted) private returns (Choice memory choice) {
        choice.excluded = excluded;
        choice.most = _quorum();
        choice.wish = _once(12) ? choice.most - 1 : _once(4) ? choice.most + 1 : choice.most;
        if (wanted != 0 && _once(4)) choice.without = wanted;
        choice.from = _firstSigner(choice.without == 0 ? wanted : 0, excluded);
        choice.noise = _once(4) ? _random(4) + 1 : 0;
        choice.narrow = _once(16);
        choice.all = excluded != 0 && _once(2);
        if (choice.all) (choice.wish, choice.noise) = (choice.most - 1, 1);
    }

    /// @dev Adds an oracle's signature where the choice wants it.
    function _sign(Signers memory made, Choice memory choice, uint256 oracle, bytes32 structHash)
        private
    {
        Seat storage seat_ = seatOf[oracle];
        bool counts = _able(oracle) && (choice.excluded >> seat_.index) & 1 == 0;
        if (counts && made.count == choice.wish) return;
        if (!counts && (choice.noise != 1 || (!choice.all && !_once(3)))) return;
        bytes32 domain = _separator("proofrail-oracles", "2", address(committee));
        made.signatures[choice.made++] = _signed(oracles[oracle].key, domain, structHash);
        if (!counts) return;
        ++made.count;
        made.bitmap |= uint216(1) << seat_.index;
        made.domains |= 1 << _domainOf(oracle);
    }

    /// @dev An oracle to begin with: any, or one of a trust domain that can sign.
    function _firstSigner(uint8 wanted, uint216 excluded) private returns (uint256 from) {
        from = _random(oracles.length);
        for (uint256 i; i < oracles.length && wanted != 0; ++i) {
            bool counts = _able(from) && (excluded >> seatOf[from].index) & 1 == 0;
            if (counts && _domainOf(from) == wanted) break;
            from = (from + 1) % oracles.length;
        }
    }

    function _claimHash(IPaymentRail.Claim memory claim) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                CLAIM_TYPE,
                claim.agreement,
                claim.sequence,
                claim.firstCounter,
                claim.lastCounter,
                claim.evidence,
                keccak256(claim.facts)
            )
        );
    }

    function _attestation(address product, bytes32[] memory hashes)
        internal
        view
        returns (bytes32)
    {
        bytes32 claims = keccak256(abi.encodePacked(hashes));
        return keccak256(abi.encode(ATTESTATION_TYPE, address(rail), product, claims));
    }

    function _bits(uint256 word) internal pure returns (uint256 count) {
        for (; word != 0; word >>= 1) {
            count += word & 1;
        }
    }
}
