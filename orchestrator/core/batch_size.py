"""How many claims go into one settlement: less after one was too large, more after one fitted."""

from __future__ import annotations


def after_overflow(size: int) -> int:
    """Return the size to try after a batch of `size` claims needed too much gas."""
    return max(1, size // 2)


def after_fit(limit: int | None, size: int, gas: int, gas_limit: int, most: int) -> int | None:
    """Return the limit after a batch of `size` claims fitted.

    The gas of a batch that fitted says how many claims like these fit, so that the limit returns
    to what the chain takes and does not overflow again on its way. It at most doubles: the next
    claims may cost more. It never falls: a small batch carries a whole transaction's own costs.

    Args:
        limit: The limit so far; None: there is none.
        size: Claims in the batch.
        gas: What the batch may use, its reserve included.
        gas_limit: What a transaction may use.
        most: The size of batches without a limit.

    Returns:
        The new limit; None when `most` fits again.
    """
    if limit is None:
        return None
    fits = size * gas_limit // max(gas, 1)
    grown = max(limit, min(2 * limit, fits))
    return None if grown >= most else grown
