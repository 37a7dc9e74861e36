"""Commands of `proofrail` that start, set up or imitate parts of a rail."""
