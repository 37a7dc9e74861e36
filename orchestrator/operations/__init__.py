"""Operators' actions on chain: agreements, devices, trust anchors and redemption."""
