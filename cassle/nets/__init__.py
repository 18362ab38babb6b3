"""Networks: registered backbones, and heads of objectives."""
