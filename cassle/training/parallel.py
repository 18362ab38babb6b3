"""Lightning's view of one of several processes: a single device, and a model that shares its gradients with others.

Its own strategy for several processes is not used: it asks every process at every step whether a SIGTERM has arrived,
which makes the GPU wait, and exchanges data inside the signal's handler, where the others expect something else.
"""

from __future__ import annotations

import warnings
from typing import Any

from torch.nn.parallel import DistributedDataParallel

from cassle.training.lightning import pl


class Together(pl.strategies.SingleDeviceStrategy):  # type: ignore[misc, name-defined]
    """Averages gradients over all processes during the backward pass.

    Buffers are left alone, as every process computes the same ones. A weight that the loss does not reach keeps having
    no gradient; which weights these are must not change within a task.
    """

    def setup(self, trainer: Any) -> None:
        """Wrap the model once it is on its device."""
        super().setup(trainer)
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of the new name that 2.15 has for it
            self.model = DistributedDataParallel(self.model, broadcast_buffers=False, static_graph=True)

    def teardown(self) -> None:
        """Unwrap the model."""
        self.model = self.lightning_module
        super().teardown()
