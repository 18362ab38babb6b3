"""The network that is trained, its frozen copy, and the files that hold them."""
