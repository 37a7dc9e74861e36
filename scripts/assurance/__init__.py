"""What an auditor asks of the contracts: each part measures one thing and returns lines."""
