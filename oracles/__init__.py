"""Events in, attestations out: pure, except `node.py`, which is one running oracle."""
