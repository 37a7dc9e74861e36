"""The inside of the simulated bank: it shares no code with the rail's bank door, on purpose."""
