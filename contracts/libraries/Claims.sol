// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentRail} from "../interfaces/IPaymentRail.sol";

/// @title EIP-712 struct hashes of claims, mandates, attestations and rulings; ids of payments.
library Claims {
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
        "uint16 periodDays,uint32 window,uint32 expiry,uint40 firstCounter,"
        "uint8 requiredDomain,bytes32 salt,bytes terms)"
    );

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

    /// @dev EIP-712 struct hash of a mandate: the agreement id.
    function hash(IPaymentRail.Mandate calldata mandate) internal pure returns (bytes32) {
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
                mandate.expiry,
                mandate.firstCounter,
                mandate.requiredDomain,
                mandate.salt,
                keccak256(mandate.terms)
            )
        );
    }

    /// @dev EIP-712 struct hash of what oracles sign for a batch.
    function attestation(address rail, address product, bytes32[] calldata claimHashes)
        internal
        pure
        returns (bytes32)
    {
        bytes32 claims = keccak256(abi.encodePacked(claimHashes));
        return keccak256(abi.encode(ATTESTATION_TYPE, rail, product, claims));
    }

    /// @dev EIP-712 struct hash of what oracles sign for a dispute.
    function ruling(address rail, bytes32 id, bool refund) internal pure returns (bytes32) {
        return keccak256(abi.encode(RULING_TYPE, rail, id, refund));
    }

    /// @dev Id of a payment.
    function payment(bytes32 agreement, uint32 sequence) internal pure returns (bytes32) {
        return keccak256(abi.encode(agreement, uint256(sequence)));
    }

    /// @dev Leaf of an outcome in a settlement's Merkle tree, double-hashed.
    function leaf(IPaymentRail.Outcome memory outcome) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(outcome))));
    }
}
