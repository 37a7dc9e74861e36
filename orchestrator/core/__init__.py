"""The rules of the orchestrator. Pure: no clock, no network, no database, no environment."""
