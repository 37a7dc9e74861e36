"""The adapter of the chain: the only package that talks to a node or to the compiler."""
