"""Figures of features: one file each, registering a function that draws it from snapshots of a run."""

from cassle.reporting.figures.features.base import feature_figures, write_feature_figure

__all__ = ["feature_figures", "write_feature_figure"]
