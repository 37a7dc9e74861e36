"""The simulated bank. It shares no code with the rail's bank adapter, so that a bug shows."""
