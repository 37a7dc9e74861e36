// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// An access manager without delays.
contract PlainAccess is AccessManager {
    constructor(address admin) AccessManager(admin) {}
}

/// A committee of one oracle.
contract SingleRuler {
    address private immutable ruler;

    error QuorumMissing(uint256 have, uint256 need);

    constructor(address ruler_) {
        ruler = ruler_;
    }

    function compromiseQuorum(
        bytes32 device,
        uint40 since,
        uint256 number,
        bytes[] calldata signatures
    ) external view returns (uint256 domainBitmap) {
        if (signatures.length == 0) revert QuorumMissing(0, 1);
        bytes32 digest = keccak256(abi.encode(msg.sender, device, since, number));
        (address signer,,) = ECDSA.tryRecover(digest, signatures[0]);
        if (signer != ruler) revert QuorumMissing(0, 1);
        return 2; // trust domain 1
    }
}
