"""Where a verb runs: its site, and the devices it may use."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cassle.core.errors import SettingsError

if TYPE_CHECKING:
    from cassle.settings.site import Execution, Site


def object_of(args: argparse.Namespace, flag: str) -> dict[str, Any]:
    """Return the JSON object of a flag; `SettingsError` for any other value."""
    try:
        value = json.loads(getattr(args, flag))
    except json.JSONDecodeError as error:
        raise SettingsError(f"--{flag} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise SettingsError(f"--{flag} must be a JSON object, such as '{{\"key\": 1}}', not {type(value).__name__}")
    return value


def site_of(args: argparse.Namespace) -> Site:
    """Return how a command of `--site` is executed, with its plugins loaded and its datasets declared."""
    from cassle.core.options import parse
    from cassle.settings.site import Site

    return prepare_site(parse(Site, object_of(args, "site"), "--site"))


def prepare_site(site: Site) -> Site:
    """Load the plugins of a site and declare its datasets; returns it."""
    from cassle.core.registry import load_plugins
    from cassle.data.base import declare

    load_plugins(site.plugins)
    declare(site.data)
    return site


@contextmanager
def leased(gpus: int, execution: Execution, record: str | Path) -> Iterator[list[str]]:
    """Lease devices for a job, hide all others, and write the times of the job; yields the names of the devices."""
    from cassle.monitor.timing import timed
    from cassle.runtime.gpus import lease

    wanted = 0 if execution.device == "cpu" else gpus
    with lease(wanted, execution.jobs_per_gpu) as devices, timed(record, leased=_named(devices)):
        _show_only(devices, wanted)
        yield devices


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _named(devices: list[str]) -> str:
    """Return leased devices as a table of jobs names them."""
    return f"GPU {' '.join(devices)}" if devices else "cpu"


def _show_only(devices: list[str], wanted: int) -> None:
    """Let this process see the leased devices and no other; none leased on purpose means CPU."""
    if devices or not wanted:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
