"""Parametric cover: what listed weather stations measured in a season comes to a payment."""
