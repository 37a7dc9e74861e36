"""The keys of locked devices: files of the home, never in the database, a log or an argument."""
