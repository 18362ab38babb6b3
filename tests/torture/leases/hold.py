"""A job that leases devices as every verb does, and records at short intervals that it holds them."""

import json
import os
import sys
import time
from pathlib import Path

from cassle.cli.execution import leased
from cassle.runtime import gpus as devices
from cassle.settings.site import Execution

BEATS, PAUSE = 40, 0.02


def main(name: str, gpus: int, share: int, out: Path) -> None:
    """Hold ``gpus`` devices for a while; ``<name>.<process>.beats`` records the times up to a kill."""
    devices.POLL = 0.05
    with leased(gpus, Execution(jobs_per_gpu=share), out), Path(f"{name}.{os.getpid()}.beats").open("w") as beats:
        for _ in range(BEATS):
            beats.write(json.dumps([os.environ["CUDA_VISIBLE_DEVICES"], time.monotonic()]) + "\n")
            beats.flush()
            time.sleep(PAUSE)
    out.touch()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
