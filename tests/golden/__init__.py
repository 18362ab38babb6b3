"""Comparisons with reference numbers; a package, so that its test files may have the names of those in tests/unit."""
