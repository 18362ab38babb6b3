"""Evaluation: features of frozen backbones, probes on them, and metrics of continual learning."""
