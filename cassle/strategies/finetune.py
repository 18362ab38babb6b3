"""Fine-tuning: train on the task at hand and do nothing about the past; the lower bound of the paper."""

from __future__ import annotations

from cassle.strategies.base import Strategy, strategies


@strategies.register("finetune")
class Finetune(Strategy):
    """The objective alone."""
