// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

/// @title Checks of device signatures: P-256 and secp256k1 over a digest made elsewhere.
/// @notice A chain without the EIP-7951 precompile answers exactly as the precompile answers an
/// invalid signature: nothing. So a contract that uses this runs `precompileAnswers` once, when it
/// is deployed, and passes the result on; no single empty answer is ever read as "no precompile".
library DeviceKeys {
    address private constant P256_VERIFY = address(0x100);
    uint256 private constant K1_N =
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    // A known answer: SHA-256 of "proofrail/known-answer" under a key made for it.
    bytes32 private constant KNOWN_DIGEST =
        0xab8fa5a901c7598b5ea5fc3c5aa891d2cf229d501158e606fed166155d5fae2a;
    bytes32 private constant KNOWN_R =
        0x693f402de00c2a6e3ac79f9aa8e57778e01e8a13abc6f62acb6f129cd0fda05f;
    bytes32 private constant KNOWN_S =
        0x6b2d51c6b0b615b56c1dab8af567a1e55741283bc0f0790cb5d7ed5e5a520eb2;
    bytes32 private constant KNOWN_X =
        0x746f2119a8cae321be34221c1d8feca97b03e9df19e73ef2f8307c2ccf18d477;
    bytes32 private constant KNOWN_Y =
        0x45003f3b97a9d8cee95b816863c5a8b8dd338b0bb0049955704176da1855a0e6;

    /// @dev Whether 0x100 says yes to a good signature and does not say yes to a bad one.
    function precompileAnswers() internal view returns (bool) {
        bytes32 wrong = bytes32(uint256(KNOWN_DIGEST) ^ 1);
        return _native(KNOWN_DIGEST, KNOWN_R, KNOWN_S, KNOWN_X, KNOWN_Y)
            && !_native(wrong, KNOWN_R, KNOWN_S, KNOWN_X, KNOWN_Y);
    }

    /// @dev P-256. Secure elements emit high s half of the time, so s is brought low first.
    function verifyP256(
        bool native,
        bytes32 digest,
        bytes32 r,
        bytes32 s,
        bytes32 x,
        bytes32 y
    ) internal view returns (bool) {
        bytes32 low = _low(s, P256.N);
        if (native) return _native(digest, r, low, x, y);
        return P256.verifySolidity(digest, r, low, x, y);
    }

    /// @dev secp256k1, through ecrecover. Devices give no recovery bit, so both are tried.
    function verifyK1(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y)
        internal
        pure
        returns (bool)
    {
        bytes32 low = _low(s, K1_N);
        address signer = address(uint160(uint256(keccak256(abi.encode(x, y)))));
        return ecrecover(digest, 27, r, low) == signer || ecrecover(digest, 28, r, low) == signer;
    }

    function _low(bytes32 s, uint256 order) private pure returns (bytes32) {
        uint256 value = uint256(s);
        return value > order / 2 && value < order ? bytes32(order - value) : s;
    }

    function _native(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y)
        private
        view
        returns (bool)
    {
        (bool done, bytes memory answer) = P256_VERIFY.staticcall(abi.encode(digest, r, s, x, y));
        return done && answer.length == 32 && abi.decode(answer, (uint256)) == 1;
    }
}
