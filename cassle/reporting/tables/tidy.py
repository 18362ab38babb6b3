"""The numbers of a table as tidy CSV, in full precision."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd

from cassle.reporting.rows.matrix import METRICS, Result, accuracy_aware, unlike
from cassle.reporting.rows.names import FINETUNE
from cassle.reporting.rows.statistics import paired, spread


def csv_text(methods: list[Result], stream: str, probe: str) -> str:
    """Return one row per method and metric: fractions of 1, or hours and operations of training.

    ``epochs`` are those of each task, ours and those of the published number, empty where they are not known.
    ``minus_finetune`` is the mean of ``pairs`` paired differences, ``low`` and ``high`` the ends of its 95 % confidence
    interval, ``unlike`` the columns of execution in which the two differ; ``mixed`` those in which runs of a method do.
    """
    bases = {(method.backbone, method.objective): method for method in methods if method.strategy == FINETUNE}
    rows: list[dict[str, Any]] = []
    for method in methods:
        same = {
            "stream": stream,
            "probe": probe,
            "backbone": method.backbone,
            "objective": method.objective,
            "strategy": method.strategy,
        }
        base = bases.get((method.backbone, method.objective))
        for name, metric in {**METRICS, **({"A_task_aware": accuracy_aware} if method.aware else {})}.items():
            found = paired(method, base, metric) if base is not None and base is not method else None
            number = method.published.get(name)
            rows.append(
                {
                    **same,
                    "metric": name,
                    **_summary(method.values(metric)),
                    "minus_finetune": found.mean if found else None,
                    "low": found.low if found else None,
                    "high": found.high if found else None,
                    "pairs": found.n if found else None,
                    "unlike": " ".join(unlike((method, base))) if found and base else "",
                    "epochs": method.epochs,
                    "published": number.value if number else None,
                    "published_epochs": number.epochs if number else None,
                    "source": number.source if number else "",
                    "mixed": " ".join(method.mixed),
                }
            )
        for name, spent in (("hours", method.hours), ("flops", method.flops)):
            if spent:
                rows.append({**same, "metric": name, **_summary(list(spent.values()))})
    text = io.StringIO()
    frame = pd.DataFrame(rows)
    whole = {column: "Int64" for column in ("pairs", "epochs", "published_epochs") if column in frame}
    frame.astype(whole).to_csv(text, index=False, lineterminator="\n")
    return text.getvalue()


def _summary(values: list[float]) -> dict[str, float]:
    mean = float(np.mean(values)) if values else float("nan")
    return {"mean": mean, "std": spread(values), "n": len(values)}
