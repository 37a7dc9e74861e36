"""eth-account, imported in this one place, because its import changes the whole process.

It imports py_ecc, which raises Python's recursion limit from 1,000 to 100,000. A deeply nested
document then overflows the C stack and kills the interpreter where it would be refused. The limit
is set back here, right after the import. A module that imports web3 (which imports eth-account)
imports this module as well; tests/style/test_ethereum.py holds the project to both.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

RECURSION_LIMIT = 1_000  # CPython's own
sys.setrecursionlimit(RECURSION_LIMIT)

__all__ = [
    "RECURSION_LIMIT",
    "Account",
    "LocalAccount",
    "encode_typed_data",
    "sign_document",
    "signer_of",
]


def sign_document(document: Mapping[str, Any], account: LocalAccount) -> bytes:
    """Return the account's signature over an EIP-712 document, 65 bytes."""
    return bytes(account.sign_message(encode_typed_data(full_message=dict(document))).signature)


def signer_of(document: Mapping[str, Any], signature: bytes) -> str:
    """Return the address whose key signed an EIP-712 document; "" if no key can have signed it."""
    try:
        return Account.recover_message(
            encode_typed_data(full_message=dict(document)), signature=signature
        )
    except Exception:  # eth-keys has its own errors for malformed signatures
        return ""
