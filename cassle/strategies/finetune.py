"""Fine-tuning: train on the task at hand and do nothing about the past (as in Fini et al. 2022, 2112.04215).

L = L_SSL

It is the lower bound that every strategy is compared with, and has no settings.
"""

from __future__ import annotations

from cassle.strategies.base import Strategy, strategies


@strategies.register("finetune")
class Finetune(Strategy):
    """The objective alone."""

    title = "fine-tuning"
