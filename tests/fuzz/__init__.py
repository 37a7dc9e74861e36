"""Random comparisons that take minutes: `make fuzz`."""
