"""Wearable payments: a secure element's cumulative vouchers, each paid by its difference."""
