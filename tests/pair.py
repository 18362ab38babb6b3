"""Two processes that run a module of tests together, as two processes of a training do."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from cassle.runtime.distributed import process_group
from cassle.runtime.launch import RENDEZVOUS

ROOT = Path(__file__).parents[1]


def run_pair(module: str, folder: Path, *arguments: str) -> list:
    """Run a module of tests in two processes and return what each has handed to `as_one_of_a_pair`."""
    environment = {**os.environ, "WORLD_SIZE": "2", RENDEZVOUS: str(folder / "rendezvous")}
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", module, str(folder / f"found{rank}.pt"), *arguments],
            env={**environment, "RANK": str(rank), "GLOO_SOCKET_IFNAME": "lo"},
            cwd=ROOT,
        )
        for rank in range(2)
    ]
    try:
        codes = [worker.wait(timeout=200) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert codes == [0, 0]
    return [torch.load(folder / f"found{rank}.pt", weights_only=True) for rank in range(2)]


def as_one_of_a_pair(run) -> None:
    """Call a function in one of the two processes, and leave what it returns for the other side."""
    torch.set_num_threads(1)
    with process_group(torch.device("cpu")):
        torch.save(run(*sys.argv[2:]), sys.argv[1])
