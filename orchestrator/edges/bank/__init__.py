"""The one door to the bank: ISO 20022 messages and the file channel, nothing else."""
