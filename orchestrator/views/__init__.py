"""Read-only views over store and chain data that commands, the API and the auditor share."""
