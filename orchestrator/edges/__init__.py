"""One door per outside system: store, chain, bank, api."""
