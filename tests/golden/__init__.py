"""Comparisons with reference numbers; a package, so that its tests may be called like those of tests/unit."""
