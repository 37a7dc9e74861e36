"""A simulated month on a real local chain, compared with books that are planned beforehand."""
