"""Starts the processes of one training, forwards signals to them, and ends all of them when one fails.

Their environment has the variables of `torchrun`: RANK, LOCAL_RANK and WORLD_SIZE. Nothing here imports torch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cassle.core.errors import CassleError
from cassle.runtime.signals import STOPPING, die_with_parent

COMMAND = (sys.executable, "-P", "-m", "cassle.cli")
PARENT = "CASSLE_PARENT"
"""Variable with the id of the process that launched this one."""
RENDEZVOUS = "CASSLE_RENDEZVOUS"
"""Variable with the path of the rendezvous file."""
FORWARDED = {number: signal.SIGUSR2 if number == signal.SIGINT else signal.SIGUSR1 for number in STOPPING}
"""Signal that the parent forwards for each received one: workers ignore signals sent to the whole process group."""
POLL = 0.1
"""Seconds between two looks at the processes."""
STOPPED = (0, *(128 + number for number in STOPPING))
"""Exit codes of a process that has finished or has stopped on request."""
GRACE = 10.0
"""Seconds that the other processes have to end after one has ended."""


def launched() -> bool:
    """Return whether this process is one of several that train together, started here or by `torchrun`."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def first() -> bool:
    """Return whether this process is the first of those that train together, which writes their files."""
    return os.environ.get("RANK", "0") == "0"


def processes(asked: int, devices: Sequence[str], batch_size: int) -> int:
    """Return how many processes train: one per leased device, on the CPU as many as asked for.

    They are fewer, and a line says so, where a batch cannot be shared evenly by so many.
    """
    # NCCL knows no parts of a GPU
    parts = any(name.startswith("MIG-") for name in devices)
    wanted = 1 if parts else len(devices) or asked
    count = shared_by(wanted, batch_size)
    if count < wanted:
        print(f"{count} of {wanted} processes, as no more can share a batch of {batch_size} evenly", flush=True)
    return count


def shared_by(wanted: int, batch_size: int) -> int:
    """Return the most processes, ``wanted`` at most, that can share a batch evenly."""
    return next(number for number in range(wanted, 0, -1) if batch_size % number == 0)


def launch(arguments: Sequence[str], count: int) -> None:
    """Run the command line in ``count`` processes until all have ended.

    A signal makes the first one save and all of them stop; the second signal ends them at once. Ends this process with
    the exit code of the first one if that is not 0; raises `CassleError` if another one's end explains it.
    """
    workers: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="cassle-") as folder, _handed_on(workers) as received:
        try:
            for rank in range(count):
                workers.append(_start(arguments, rank, count, Path(folder)))
            codes = _codes(workers)
        finally:
            _end(workers)
        if codes[0] == 0:
            return
        culprit = None if received else _culprit(codes, Path(folder))
        if culprit is not None:
            raise CassleError(
                f"process {culprit} of the {count} that train together ended with code {codes[culprit]}, so all were "
                f"stopped; the last saved state is kept. It said: {_said(culprit, Path(folder)) or 'see above'}"
            )
    sys.exit(128 + received[0] if received else codes[0])


def follow_parent() -> None:
    """If `launch` started this process: end when the parent ends, and accept signals only from it."""
    if PARENT in os.environ:
        die_with_parent()
        if os.getppid() != int(os.environ[PARENT]):
            sys.exit("the process that started this one has ended")
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)


def stop_signals() -> dict[int, int]:
    """Return the signals that stop this process: signal -> original signal of the user."""
    if PARENT in os.environ:
        return {signal.SIGUSR1: signal.SIGTERM, signal.SIGUSR2: signal.SIGINT}
    return {number: number for number in STOPPING}


def _start(arguments: Sequence[str], rank: int, count: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start one process; the output of all but the first is kept in a file, for error messages."""
    code = str(Path(__file__).parents[2])
    environment = {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        PARENT: str(os.getpid()),
        RENDEZVOUS: str(folder / "rendezvous"),
        "PYTHONPATH": os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")])),
    }
    if sys.platform == "linux":  # the host name of a laptop often does not resolve
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with (folder / f"said{rank}").open("wb") as said:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said if rank else None,
            stderr=said if rank else None,
            process_group=0,
        )


@contextmanager
def _handed_on(workers: list[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Hand the first signal on to the first process; the second one ends all. Yields the signals received."""
    received: list[int] = []

    def receive(number: int, frame: object) -> None:
        received.append(number)
        if len(received) > 1:
            _end(workers)
            sys.exit(128 + number)
        if workers:
            workers[0].send_signal(FORWARDED[signal.Signals(number)])
        else:
            sys.exit(128 + number)

    heard = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]  # not so under nohup
    before = {number: signal.signal(number, receive) for number in heard}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _codes(workers: list[subprocess.Popen[bytes]]) -> list[int | None]:
    """Wait until the first process has ended or another one failed, give the rest a moment to end as well, and return
    their exit codes; None for one that still runs."""
    while workers[0].poll() is None and all(worker.poll() in (None, *STOPPED) for worker in workers):
        time.sleep(POLL)
    until = time.monotonic() + GRACE
    while None in (codes := [worker.poll() for worker in workers]) and time.monotonic() < until:
        time.sleep(POLL)
    return codes


def _culprit(codes: Sequence[int | None], folder: Path) -> int | None:
    """Return the process whose end explains that of the others; None if the first one has said what is wrong.

    One that was killed comes first, then one that did not expect its end, then one that let the first one wait.
    """
    failed = [rank for rank, code in enumerate(codes) if code not in (None, *STOPPED)]
    killed = [rank for rank in failed if (codes[rank] or 0) < 0]
    puzzled = [rank for rank in failed if "Traceback" in _said(rank, folder)]
    return next(iter([*killed, *puzzled, *(failed if codes[0] is None else [])]), None)


def _said(rank: int, folder: Path) -> str:
    """Return the output of a process other than the first, whose output is not redirected."""
    return (folder / f"said{rank}").read_text(errors="replace").strip()


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    """Kill the processes that still run."""
    for worker in workers:
        with suppress(ProcessLookupError):
            worker.kill()
        worker.wait()
