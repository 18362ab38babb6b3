"""Experience replay: images of past tasks join the batch (Chaudhry et al. 2019, 1902.10486).

L = L_SSL(batch of task t, joined by as many images drawn from the buffer)

Images are drawn for every step and augmented anew; the objective treats them as any other row. Defaults: reservoir
sampling and a replayed batch as large as the own one, as in the paper; a buffer of 500 images, one of the three sizes
(200, 500, 5120) at which the release of Buzzega et al. (2004.07211) compares replay on Split CIFAR-10.
"""

from __future__ import annotations

from typing import Any

from cassle.strategies.base import strategies
from cassle.strategies.buffers import ReplayStrategy


@strategies.register("er")
class ExperienceReplay(ReplayStrategy):
    """The objective on own and replayed rows together; nothing is added to its loss."""

    title = "ER"

    @classmethod
    def replayed_rows_in_loss(cls, settings: dict[str, Any], batch_size: int) -> int:
        """Return the number of replayed rows: all of them."""
        return cls.replayed_rows(settings, batch_size)
