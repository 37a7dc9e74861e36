"""The contracts of a checkout: their sources, the compiler, and the artifacts made from them."""
