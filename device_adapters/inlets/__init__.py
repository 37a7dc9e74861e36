"""Inlets: how messages of devices reach a rail, an oracle or a collector."""
