"""The adapter to a folder: one JSON file for each effect, for receivers without a web server."""
