"""Metered fleet: one payer, one payee, many meters, one claim a period."""
