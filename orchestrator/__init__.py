"""Claims in, money out: the settlement engine, its ledger and its adapters to other systems."""

__version__ = "0.6.0"
