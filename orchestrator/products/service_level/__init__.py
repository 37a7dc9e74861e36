"""Service level: a fee for machines that serve, from signed changes of state and heartbeats."""
