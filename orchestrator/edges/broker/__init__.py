"""The MQTT broker: credentials, topic rights, and the two brokers that the project can run."""
