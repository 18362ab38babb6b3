"""Self-supervised objectives: one file each, holding its pure loss, its heads and its life cycle."""
