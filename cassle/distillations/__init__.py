"""Distillation forms: an objective's own loss between the current and the frozen model, one file each."""
