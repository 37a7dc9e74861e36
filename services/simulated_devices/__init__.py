"""Simulated devices, each with its own key, journal and credentials."""
