// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";

/// @title Bytes kept as the code of a contract: one cold read, however many bytes. They never change.
/// @notice Their key, the hash of their init code, is where they are: nothing else is stored.
/// What is kept must begin with a byte whose execution does nothing and fails at once, and not
/// with 0xEF, which no code may begin with (EIP-3541).
library Code {
    /// Init code that returns all that follows it: PUSH1 11, MSIZE, DUP2, CODESIZE, SUB, DUP1,
    /// SWAP3, MSIZE, CODECOPY, RETURN.
    bytes11 private constant RETURN_THE_REST = 0x600b5981380380925939f3;

    /// @dev Keeps bytes as the code of a contract, unless it keeps them already; returns their key.
    function keep(bytes memory content) internal returns (bytes32 key) {
        bytes memory initCode = abi.encodePacked(RETURN_THE_REST, content);
        key = keccak256(initCode);
        if (_keeper(key).code.length != 0) return key;
        address keeper;
        assembly ("memory-safe") {
            keeper := create2(0, add(initCode, 32), mload(initCode), 0)
        }
        if (keeper == address(0)) revert Errors.FailedDeployment();
    }

    /// @dev What this contract kept under a key; no bytes where it kept nothing.
    function read(bytes32 key) internal view returns (bytes memory content) {
        address keeper = _keeper(key);
        assembly ("memory-safe") {
            let size := extcodesize(keeper)
            content := mload(0x40)
            mstore(0x40, add(content, and(add(size, 63), not(31))))
            mstore(content, size)
            extcodecopy(keeper, add(content, 32), 0, size)
        }
    }

    /// @dev Where CREATE2 puts it (EIP-1014), with the salt 0.
    function _keeper(bytes32 key) private view returns (address) {
        bytes32 hash = keccak256(abi.encodePacked(bytes1(0xff), address(this), bytes32(0), key));
        return address(uint160(uint256(hash)));
    }
}
