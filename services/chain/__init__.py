"""The development chain that survives: a keeper process around anvil.

`python -m services.chain --home HOME` serves JSON-RPC on one port. It mines when there is work,
stores the chain's state after it, and calls a block final only when a stored state holds it.
"""
