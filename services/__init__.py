"""The processes of a rail: chain, broker, oracle, bank and orchestrator, and what starts them."""
