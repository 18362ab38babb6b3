"""The cost of a study before it is run: jobs, images, operations, disk, and the longest chain of jobs."""
