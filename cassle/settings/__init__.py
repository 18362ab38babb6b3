"""What a user may set: typed, strict, and without torch."""
