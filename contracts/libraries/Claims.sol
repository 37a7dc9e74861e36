// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";

import {IPaymentRail} from "../interfaces/IPaymentRail.sol";
import {IRailEvents} from "../interfaces/IRailEvents.sol";
import {ClaimAt, ClaimBytes, ClaimHead} from "./ClaimBytes.sol";
import {Lists} from "./Lists.sol";

/// @title EIP-712 struct hashes of what parties and oracles sign; ids of payments.
library Claims {
    using Lists for bytes32[];

    bytes32 internal constant CLAIM_TYPE = keccak256(
        "Claim(bytes32 agreement,uint32 sequence,uint40 firstCounter,uint40 lastCounter,"
        "bytes32 evidence,bytes facts)"
    );
    bytes32 internal constant ATTESTATION_TYPE = keccak256(
        "Attestation(address rail,address product,Claim[] claims)"
        "Claim(bytes32 agreement,uint32 sequence,uint40 firstCounter,uint40 lastCounter,"
        "bytes32 evidence,bytes facts)"
    );
    bytes32 internal constant RULING_TYPE =
        keccak256("Ruling(address rail,bytes32 payment,bool refund)");
    bytes32 internal constant MANDATE_TYPE = keccak256(
        "Mandate(address payer,address payee,bytes32 device,address product,uint48 cap,"
        "uint16 periodDays,uint32 window,uint32 start,uint32 expiry,uint40 firstCounter,"
        "uint8 requiredDomain,uint48 bond,uint64 schedule,bytes32 fleet,bytes32 cites,"
        "bytes32 salt,bytes terms)"
    );
    bytes32 internal constant CONSENT_TYPE =
        keccak256("Consent(bytes32 device,address product,bytes32 agreement,uint256 number)");
    bytes32 internal constant SKIP_TYPE =
        keccak256("Skip(bytes32 agreement,uint32 sequence,uint40 lastCounter)");

    bytes32 private constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );

    /// @dev EIP-712 domain separator of a rail.
    function domain(address rail) internal view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPE, keccak256("proofrail"), keccak256("2"), block.chainid, rail)
        );
    }

    /// @dev EIP-712 struct hash of a claim.
    function hash(IPaymentRail.Claim calldata claim) internal pure returns (bytes32) {
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

    /// @dev EIP-712 struct hashes of a batch's claims. Not `whole`: bytes are left over or cut off.
    function hashes(bytes calldata claims)
        internal
        pure
        returns (bytes32[] memory list, bool whole)
    {
        (ClaimAt claim, ClaimAt end) = (ClaimBytes.first(claims), ClaimBytes.end(claims));
        list = new bytes32[](claims.length / ClaimBytes.LEAST + 1); // one more may be cut off
        uint256 count;
        for (; claim.isBefore(end); claim = claim.next(claim.head())) {
            list.put(count, hash(claim, claim.head()));
            unchecked { // one for each claim
                ++count;
            }
        }
        list.cut(count);
        whole = !end.isBefore(claim);
    }

    /// @dev EIP-712 struct hash of a claim of a batch. In memory that is free again afterwards, as the
    /// next three: batches are long, and Solidity's encoder would cost as much as a claim's storage.
    function hash(ClaimAt claim, ClaimHead head) internal pure returns (bytes32 hashed) {
        bytes calldata facts = claim.facts(head);
        (bytes32 kind, bytes32 agreement, bytes32 evidence) =
            (CLAIM_TYPE, claim.agreement(), claim.evidence());
        (uint256 sequence, uint256 first, uint256 last) =
            (head.sequence(), head.firstCounter(), head.lastCounter());
        assembly ("memory-safe") {
            let at := mload(0x40)
            calldatacopy(at, facts.offset, facts.length)
            let content := keccak256(at, facts.length)
            mstore(at, kind)
            mstore(add(at, 0x20), agreement)
            mstore(add(at, 0x40), sequence)
            mstore(add(at, 0x60), first)
            mstore(add(at, 0x80), last)
            mstore(add(at, 0xa0), evidence)
            mstore(add(at, 0xc0), content)
            hashed := keccak256(at, 0xe0)
        }
    }

    /// @dev Key of the rows of agreements that have a group's terms in common.
    function group(address product, IPaymentRail.Group memory shared)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(product, shared));
    }

    /// @dev The same of a group in call data: its words lie there as they are encoded. Who reads them
    /// by name checks that none has too many bits.
    function groupOf(address product, IPaymentRail.Group calldata shared)
        internal
        pure
        returns (bytes32 hashed)
    {
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, product)
            calldatacopy(add(at, 0x20), shared, 0xc0)
            hashed := keccak256(at, 0xe0)
        }
    }

    /// @dev EIP-712 struct hash of a mandate: the agreement id.
    function hash(IRailEvents.Mandate calldata mandate) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                MANDATE_TYPE,
                mandate.payer,
                mandate.payee,
                mandate.device,
                mandate.product,
                mandate.cap,
                mandate.periodDays,
                mandate.window,
                mandate.start,
                mandate.expiry,
                mandate.firstCounter,
                mandate.requiredDomain,
                mandate.bond,
                mandate.schedule,
                mandate.fleet,
                mandate.cites,
                mandate.salt,
                keccak256(mandate.terms)
            )
        );
    }

    /// @dev EIP-712 struct hash of a device owner's consent; agreement zero: to the product.
    function consent(bytes32 device, address product, bytes32 agreement, uint256 number)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(CONSENT_TYPE, device, product, agreement, number));
    }

    /// @dev EIP-712 struct hash of what payer and payee sign to pass over a claim.
    function skip(bytes32 agreement, uint32 sequence, uint40 lastCounter)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(SKIP_TYPE, agreement, sequence, lastCounter));
    }

    /// @dev EIP-712 struct hash of what oracles sign for a batch; claims: keccak256 of the claims'
    /// struct hashes, one after the other.
    function attestation(address rail, address product, bytes32 claims)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(ATTESTATION_TYPE, rail, product, claims));
    }

    /// @dev EIP-712 struct hash of what oracles sign for a dispute.
    function ruling(address rail, bytes32 id, bool refund) internal pure returns (bytes32) {
        return keccak256(abi.encode(RULING_TYPE, rail, id, refund));
    }

    /// @dev Id of a payment: keccak256(abi.encode(agreement, uint256(sequence))).
    function payment(bytes32 agreement, uint256 sequence) internal pure returns (bytes32) {
        return Hashes.efficientKeccak256(agreement, bytes32(sequence));
    }

    /// @dev Leaf of an outcome in a settlement's Merkle tree: keccak256(keccak256(abi.encode(outcome))).
    function leaf(IPaymentRail.Outcome memory outcome) internal pure returns (bytes32 hashed) {
        assembly ("memory-safe") {
            mstore(0, keccak256(outcome, 0xc0)) // a struct of words lies in memory as it is encoded
            hashed := keccak256(0, 0x20)
        }
    }
}
