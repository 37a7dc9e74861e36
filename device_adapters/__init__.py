"""Bytes in, events out: reads what devices sign, and knows nothing of money or chains."""
