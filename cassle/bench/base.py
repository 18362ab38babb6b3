"""Timing of parts, and tables of measurements."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from datetime import date
from statistics import median
from typing import Any

import torch

from cassle.core.options import Options
from cassle.core.provenance import versions
from cassle.settings.site import Site
from cassle.training.precision import resolve_device

LEAST = 0.2
"""Minimum duration of one turn of a case in seconds, well above the resolution of the clock."""


def begin(site: Site) -> torch.device:
    """Set up the process as a job does, and return its device."""
    torch.set_num_threads(site.execution.threads)
    torch.manual_seed(0)
    return resolve_device(site.execution.device)


def seconds_per_call(
    cases: Mapping[str, Callable[[], Any]], device: torch.device, rounds: int
) -> dict[str, list[float]]:
    """Return the times of one call of every case, ``rounds`` each, interleaved so that all cases see the same load.

    An uncounted first turn warms up and determines how many calls take `LEAST` seconds. The device has finished
    before the clock is read.
    """
    calls = {}
    for name, case in cases.items():
        _timed(case, 1, device)
        calls[name] = max(1, round(LEAST / _timed(case, 1, device)))
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            times[name].append(_timed(case, calls[name], device) / calls[name])
    return times


def _timed(case: Callable[[], Any], calls: int, device: torch.device) -> float:
    _wait_for(device)
    began = time.perf_counter()
    for _ in range(calls):
        case()
    _wait_for(device)
    return time.perf_counter() - began


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rate(name: str, times: list[float], items: float, unit: str, **more: Any) -> dict[str, Any]:
    """Return the row of a case: ``items`` of ``unit`` are done in each of the times; ``more`` columns as they are."""
    rates = sorted(items / seconds for seconds in times)
    return {"name": name, "median": median(rates), "low": rates[0], "high": rates[-1], "unit": f"{unit}/s", **more}


def result(
    what: str, settings: Options, site: Site, device: torch.device, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a measurement with everything that it depends on."""
    machine = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": platform.platform(),
        "threads": site.execution.threads,
    }
    facts = {"bench": what, "date": date.today().isoformat(), "machine": machine, "versions": versions()}
    return {**facts, "settings": settings.model_dump(mode="json"), "rows": rows}


def processor() -> str:
    """Return the processor's name as the system tells it."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown"


def as_text(measured: dict[str, Any]) -> str:
    """Return a measurement as a table: medians, the range of all rounds, and columns of a bench's own."""
    machine = measured["machine"]
    known = ("name", "median", "low", "high", "unit")
    more = list(dict.fromkeys(key for row in measured["rows"] for key in row if key not in known))
    rows = [["", "median", "range", "", *more]]
    for row in measured["rows"]:
        spread = f"{_short(row['low'])}-{_short(row['high'])}"
        rows.append([row["name"], _short(row["median"]), spread, row["unit"], *(_short(row.get(key)) for key in more)])
    widths = [max(len(line[place]) for line in rows) for place in range(len(rows[0]))]
    table = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in rows]
    where = f"{machine['device']}, {machine['processor']}, {machine['threads']} threads, load {machine['load']}"
    libraries = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    return "\n".join([f"{measured['bench']}: {where}, {measured['date']}", libraries, *table])


def _short(value: Any) -> str:
    """Return a number with three digits, or any other value as it is; nothing for None."""
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
