"""The cost of a plan as text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cassle.core.errors import SettingsError
from cassle.cost.estimate import Job, counts, critical_path, jobs_by_rule, jobs_of
from cassle.cost.rate import measured_rate
from cassle.monitor.status import duration
from cassle.plan import Plan
from cassle.plan.request import Request, plan_study

UNITS = ("", "k", "M", "G", "T", "P", "E", "Z")
HINT = (
    "unknown until a training of this plan has finished here; --bench takes the speed of a measured step, "
    "--tflops N is N x 10^12 operations per second"
)


def cost_of(configfiles: Sequence[str], overrides: Sequence[str], rate: float | None = None) -> str:
    """Return the cost of the study that files and overrides such as ``seed=3`` describe, as Snakemake plans it here.

    ``rate``: sustained operations per second to reckon with; None: those of the plan's finished trainings.
    Raises `SettingsError` for impossible settings.
    """
    if rate is not None and not 0 < rate < math.inf:
        raise SettingsError(f"no machine does {rate / 1e12:g} x 10^12 operations per second; give a number above 0")
    if bad := [text for text in overrides if "=" not in text]:
        raise SettingsError(f"'{bad[0]}' is not of the form key=value, such as seed=3")
    values = {key: _value(value) for key, value in (text.split("=", 1) for text in overrides)}
    plan = plan_study(Request(values, configfiles))
    return describe(plan, measured_rate(plan) if rate is None else rate)


def _value(text: str) -> Any:
    """Return the value of an override as Snakemake reads it: inside braces and brackets, every value is text."""
    try:
        alone = yaml.safe_load(text)
        return alone if isinstance(alone, bool | int | float) else yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        return text


def short(value: float, unit: str = "") -> str:
    """Return a number with three digits and a prefix of thousands.

    >>> short(4.354e18, "FLOP"), short(21_000_000_000, "B"), short(0, "B")
    ('4.35 EFLOP', '21 GB', '0 B')
    """
    steps = 0
    while value >= 999.5 and steps < len(UNITS) - 1:
        value, steps = value / 1000, steps + 1
    return f"{value:.3g} {UNITS[steps]}{unit}"


def describe(plan: Plan, rate: float | None, root: Path = Path()) -> str:
    """Return the jobs of a plan, how many are done and what the others cost; ``rate`` in operations per second."""
    jobs = jobs_of(plan, root)
    parts = [_table(jobs), _costs(jobs, rate)]
    if plan.studies:
        parts.insert(1, _sharing(plan))
    return f"{plan.study.name}\n\n" + "\n\n".join(parts)


def _table(jobs: Sequence[Job]) -> str:
    found = counts(list(jobs))
    total = (sum(number for number, _ in found.values()), sum(done for _, done in found.values()))
    rows = [("job", "number", "done"), *((rule, f"{n}", f"{done}") for rule, (n, done) in found.items())]
    rows.append(("total", f"{total[0]}", f"{total[1]}"))
    return "\n".join(f"{rule:<22}{number:>8}{done:>8}" for rule, number, done in rows)


def _sharing(plan: Plan) -> str:
    """Return how many jobs the studies have alone, and which of them they share."""
    alone = {part.study.name: Counter(jobs_by_rule(part)) for part in plan.studies}
    every, here = sum(alone.values(), Counter()), Counter(jobs_by_rule(plan))
    shared = every - here
    return "\n".join(
        [
            *(f"{name:<22}{jobs.total():>8}" for name, jobs in alone.items()),
            f"{shared.total()} jobs are shared: {every.total()} of the studies alone, {here.total()} here;",
            ", ".join(f"{number} {rule}" for rule, number in shared.items()),
        ]
    )


def _costs(jobs: Sequence[Job], rate: float | None) -> str:
    trained = [job for job in jobs if job.rule.startswith("train")]
    kept = [job for job in jobs if job.rule == "build_memory"]
    probed = [job for job in jobs if job.rule.startswith("probe")]
    chain = critical_path(list(jobs))
    lines = {
        "training": f"{len(trained)} tasks, {sum(job.epochs for job in trained):,} epochs, "
        f"{short(sum(job.images for job in trained)).strip()} images, {_left(trained)}",
        **({"memories": f"{len(kept)} tasks, {_left(kept)}"} if kept else {}),
        "probing": f"{len(probed)} checkpoints, {_left(probed)}",
        "disk": f"{short(sum(job.bytes for job in jobs), 'B')} of checkpoints{' and memories' if kept else ''}, "
        f"{short(sum(job.bytes for job in jobs if not job.done), 'B')} of them to come",
        "GPU time": HINT if rate is None else f"{_time(jobs, rate)} to come, at {short(rate, 'FLOP/s')}",
        "critical path": _path(chain, rate),
    }
    return "\n".join(f"{name:<15}{text}" for name, text in lines.items())


def _left(jobs: Sequence[Job]) -> str:
    every, left = (sum(job.flops for job in part) for part in (jobs, [job for job in jobs if not job.done]))
    return f"{short(every, 'FLOP')}, {short(left, 'FLOP')} of it to come"


def _time(jobs: Sequence[Job], rate: float) -> str:
    return duration(sum(job.flops for job in jobs if not job.done) / rate)


def _path(chain: Sequence[Job], rate: float | None) -> str:
    if not chain:
        return "nothing left"
    time = "" if rate is None else f", {_time(chain, rate)}"
    return f"{len(chain)} jobs, {short(sum(job.flops for job in chain), 'FLOP')}{time}: up to {chain[-1].name}"
