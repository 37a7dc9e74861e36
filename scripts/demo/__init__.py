"""`make demo`: the whole rail on this machine, with every fault of a real fleet."""
