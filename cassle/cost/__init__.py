"""What a study costs before it is run: jobs, images, operations, disk, and the longest chain of them."""
