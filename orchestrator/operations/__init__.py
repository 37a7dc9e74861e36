"""What operators do for the rail on chain: agreements, devices, trust anchors and redemption."""
