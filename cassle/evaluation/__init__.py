"""Evaluation: features, probes and the metrics of continual learning."""
