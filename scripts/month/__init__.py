"""A simulated month on a real local chain, with books that were reckoned beforehand."""
