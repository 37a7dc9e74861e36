"""The one door to the broker: credentials, topic rights, and the two brokers we can run."""
