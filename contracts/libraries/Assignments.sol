// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title Which gateway may sign for a device, and from when to when.
library Assignments {
    struct Assignment {
        bytes32 gateway; // zero: none
        uint40 since;
        uint40 until; // 0: no end
    }

    /// @dev Within any span of this length at most MOST assignments begin, and none begins later
    /// than this from now: so walks over what is recent or still to come are bounded.
    uint40 internal constant SPAN = 90 days;
    uint256 internal constant MOST = 32;

    bytes32 internal constant ASSIGNMENT_TYPE = keccak256(
        "Assignment(bytes32 device,bytes32 gateway,uint40 since,uint40 until,uint256 number)"
    );

    /// @dev EIP-712 struct hash of what the owner signs.
    function hash(bytes32 device, bytes32 gateway, uint40 since, uint40 until, uint256 number)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(ASSIGNMENT_TYPE, device, gateway, since, until, number));
    }

    /// @dev Whether the owner signed (65 bytes, low s), or calls and needs no signature.
    function consented(address owner, bytes32 digest, bytes calldata signature)
        internal
        view
        returns (bool)
    {
        if (signature.length == 0) return msg.sender == owner;
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecoverCalldata(digest, signature);
        return problem == ECDSA.RecoverError.NoError && signer == owner;
    }

    /// @dev What has not begun by then never begins, so a list stays in order of time. Returns the
    /// first second in which it might begin; one that begins earlier is one too many.
    function put(Assignment[] storage list, Assignment memory assignment)
        internal
        returns (uint40 earliest)
    {
        while (list.length != 0 && list[list.length - 1].since >= assignment.since) list.pop();
        if (list.length >= MOST) earliest = list[list.length - MOST].since + SPAN;
        list.push(assignment);
    }

    /// @dev Whether an assignment may have held within the last SPAN: it is the last one, or the
    /// one after it began within.
    function recent(Assignment[] storage list, uint256 index, uint40 now_)
        internal
        view
        returns (bool)
    {
        return index + 1 == list.length || list[index + 1].since + SPAN >= now_;
    }

    /// @dev The gateway at a time; zero: none.
    function gatewayAt(Assignment[] storage list, uint40 time) internal view returns (bytes32) {
        (uint256 low, uint256 high) = (0, list.length); // `low` of them began by then
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (list[middle].since <= time) low = middle + 1;
            else high = middle;
        }
        if (low == 0) return 0;
        Assignment memory last = list[low - 1];
        return last.until == 0 || time < last.until ? last.gateway : bytes32(0);
    }

    /// @dev The first second from `time` on in which an assignment held; 0: none.
    function holdsFrom(Assignment[] storage list, uint256 index, uint40 time)
        internal
        view
        returns (uint40)
    {
        Assignment memory assignment = list[index];
        uint40 start = time > assignment.since ? time : assignment.since;
        bool ended = assignment.until != 0 && start >= assignment.until;
        bool replaced = index + 1 < list.length && start >= list[index + 1].since;
        return ended || replaced ? 0 : start;
    }
}
