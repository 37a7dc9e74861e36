"""Insurance by use: a premium or a reward from the totals that a vehicle or a wearable signs."""
