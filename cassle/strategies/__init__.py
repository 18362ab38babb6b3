"""Continual strategies: additions to the objective against forgetting, one file each."""
