"""What a job runs on: GPU leases, locks, processes, signals."""
