"""`make demo`: a whole rail on this machine, with the faults of a real fleet."""
