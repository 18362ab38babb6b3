"""Loaders: what turns a task's images into batches. One protocol, one file each."""

from cassle.data.loaders.base import Loader
from cassle.data.loaders.opening import open_loader
from cassle.data.loaders.rows import TaskRows

__all__ = ["Loader", "TaskRows", "open_loader"]
