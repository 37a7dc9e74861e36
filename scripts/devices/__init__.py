"""Simulated charge points and household meters, each with its own key, journal and credentials."""
