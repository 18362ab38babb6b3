"""One file per figure, each registering a function that draws it."""

from cassle.reporting.figures.base import figures, write_figure

__all__ = ["figures", "write_figure"]
