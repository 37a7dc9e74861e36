"""Helpers of the contract tests: one deployed rail, its actors and what they sign."""
