"""The one door to the chain: the only package that speaks to a node or to the compiler."""
