"""Benchmarks: ratios from one interleaved run, never a timed assertion."""
