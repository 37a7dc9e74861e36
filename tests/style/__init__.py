"""Style is a test, not a document."""
