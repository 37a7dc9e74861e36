"""The bank adapter: bank messages (ISO 20022, SWIFT) and the channel for their files."""
