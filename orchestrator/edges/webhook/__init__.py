"""The adapter to receivers of webhooks: HTTPS, signed, to a checked address (Standard Webhooks)."""
