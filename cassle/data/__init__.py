"""Datasets, the stream of tasks, views (augmentations) and loaders."""
