"""Reporting: the rows of finished runs, tables and figures made of them."""
