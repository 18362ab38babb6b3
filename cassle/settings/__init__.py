"""Settings of a user: typed, strict, and without torch."""
