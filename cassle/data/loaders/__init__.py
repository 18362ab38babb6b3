"""Loaders, which turn a task's images into batches: one protocol, one file per loader."""

from cassle.data.loaders.base import Loader
from cassle.data.loaders.opening import open_loader
from cassle.data.loaders.rows import TaskRows

__all__ = ["Loader", "TaskRows", "open_loader"]
