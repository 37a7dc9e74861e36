"""Oracles: verify device events, derive claims from them, and sign the claims.

Pure functions, except `memory.py` (SQLite), `node.py` (one running oracle) and `server.py` (HTTP).
"""
