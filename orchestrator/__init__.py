"""Claims in, money out: the settlement engine, its ledger and its doors to the outside."""
