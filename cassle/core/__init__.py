"""Basics of every package: errors, files, options, registries, random draws, provenance."""
