"""Continual strategies: what is added to the objective so that a model remembers, one file each."""
