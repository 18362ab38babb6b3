"""The execution of a job: GPU leases, locks, processes, signals."""
