"""Maintenance escrow: a repair is paid by what the asset itself measures under load afterwards."""
