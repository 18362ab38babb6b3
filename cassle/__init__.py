"""CaSSLe: continual self-supervised learning, from a stream of unlabeled tasks to tables and figures."""

__version__ = "0.2.0"
