"""Metered energy: electricity by register readings, charged by cumulative rounding."""
