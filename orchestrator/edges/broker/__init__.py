"""The broker: credentials, rights, and nats-server as its process and its log."""
