"""The tests; a package only so that `python -m tests.bench` finds this one and no other."""
