"""eth-account, imported in this one place, because its import changes the whole process.

It imports py_ecc, which raises Python's recursion limit from 1,000 to 100,000. A deeply nested
document then overflows the C stack and kills the interpreter where it would be refused. The limit
is set back here, right after the import. A module that imports web3 (which imports eth-account)
imports this module as well; tests/style/test_ethereum.py holds the project to both.
"""

from __future__ import annotations

import sys

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

RECURSION_LIMIT = 1_000  # CPython's own
sys.setrecursionlimit(RECURSION_LIMIT)

__all__ = ["RECURSION_LIMIT", "Account", "LocalAccount", "encode_typed_data"]
