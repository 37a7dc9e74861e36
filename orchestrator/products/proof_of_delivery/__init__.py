"""Proof of delivery: a consignment is paid by milestones, as the recipient states them."""
