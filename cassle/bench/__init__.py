"""Measurements of single parts, each in one run, with the machine they were made on."""
