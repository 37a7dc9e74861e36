"""One adapter package per outside system: store, chain, bank, api."""
