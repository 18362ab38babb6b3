"""Benchmarks of single parts, each with a description of the machine."""
