"""What passes between jobs, and only that: specifications, records, and the layout of every path."""
