"""One folder per payment product, named as its contract; found by a scan."""
