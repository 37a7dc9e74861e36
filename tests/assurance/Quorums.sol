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
    function _signers(uint216 excluded, bytes32 structHash) internal returns (Signers memory made) {
        uint256 most = _quorum();
        uint256 wish = _once(8) ? most - 1 : _once(4) ? most + 1 : most;
        bytes32 domain = _separator("proofrail-oracles", "2", address(committee));
        uint256 from = _random(oracles.length);
        uint256 noise = _once(4) ? _random(4) + 1 : 0;
        bool narrow = _once(8); // of one trust domain
        made.signatures = new bytes[](oracles.length + 1);
        uint256 made_;
        for (uint256 i; i < oracles.length && made.count < wish; ++i) {
            uint256 oracle = (from + i) % oracles.length;
            Seat storage seat_ = seatOf[oracle];
            bool counts = _able(oracle) && (excluded >> seat_.index) & 1 == 0;
            if (!counts && (noise != 1 || !_once(3))) continue;
            if (narrow && _domainOf(oracle) != 1) continue;
            made.signatures[made_++] = _signed(oracles[oracle].key, domain, structHash);
            if (!counts) continue;
            ++made.count;
            made.bitmap |= uint216(1) << seat_.index;
            made.domains |= 1 << _domainOf(oracle);
        }
        if (noise == 2 && made_ != 0) made.signatures[made_++] = made.signatures[0];
        if (noise == 3) made.signatures[made_++] = hex"00";
        bytes[] memory signatures = made.signatures;
        assembly ("memory-safe") {
            mstore(signatures, made_)
        }
        if (noise != 3 && _once(2)) made.signatures = _joined(signatures); // whole ones alone
        made.enough = made.count >= most && _bits(made.domains) >= MIN_DOMAINS;
        if (made.count >= most && !made.enough) _hit("state:quorum of one trust domain");
        if (made.count + 1 == most) _hit("state:one signature below the quorum");
        if (noise == 1) _hit("state:signatures that do not count");
    }

    /// @dev The same signatures in one element.
    function _joined(bytes[] memory signatures) private pure returns (bytes[] memory elements) {
        elements = new bytes[](1);
        for (uint256 i; i < signatures.length; ++i) {
            elements[0] = bytes.concat(elements[0], signatures[i]);
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
