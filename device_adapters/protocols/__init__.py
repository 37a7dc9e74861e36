"""One file per device protocol; `registry.py` finds them, `_blueprint.py` is the one to copy."""
