"""The trained network, its frozen teacher, and their checkpoints."""
