"""Data structures of a training step."""
