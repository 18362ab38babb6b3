"""Trackers: followers of finished files that show curves elsewhere; no training waits for them or fails with them."""
