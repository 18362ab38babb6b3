"""From records of finished jobs to rows, and from rows to what tables and figures show."""
