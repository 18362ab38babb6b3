"""What runs and what failed: status, failures, times, trackers."""
