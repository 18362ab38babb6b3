"""Reading golden files: the cases of a file with their inputs, hyper-parameters and expected outputs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """One case: ``values`` are tensors (float64, int64, bool) or plain numbers, ``hp`` plain numbers and lists."""

    name: str
    meta: dict[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    hp: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        value = self.values[key]
        return value.clone() if isinstance(value, Tensor) else value

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def inputs(self, dtype: torch.dtype) -> dict[str, Any]:
        """Return fresh copies of the inputs, floating ones as ``dtype``."""
        return {name: as_dtype(self[name], dtype) for name in self.meta["inputs"] if name in self}

    def under(self, prefix: str) -> dict[str, Any]:
        """Return the values whose key starts with ``prefix``, by the rest of the key."""
        return {key.removeprefix(prefix): self[key] for key in self.values if key.startswith(prefix)}


@dataclass(frozen=True)
class Row:
    """A line of a test's table: a file, and its cases that have all ``inputs``."""

    file: str
    inputs: tuple[str, ...] = ()

    def takes(self, case: Case) -> bool:
        return set(self.inputs) <= set(case.meta.get("inputs", ()))


def as_dtype(value: Any, dtype: torch.dtype) -> Any:
    """Return a floating tensor as ``dtype``, anything else as it is."""
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


@lru_cache
def load(folder: Path, name: str) -> dict[str, Case]:
    """Return the cases of ``folder/name.npz``, and ``shared`` where the file has values that all cases share."""
    with np.load(folder / f"{name}.npz") as arrays:
        meta = json.loads(str(arrays["meta"]))["cases"]
        cases: dict[str, Case] = {}
        for key in arrays.files:
            if key != "meta":
                owner, _, rest = key.partition(".")
                case = cases.setdefault(owner, Case(owner, meta.get(owner, {})))
                if rest.startswith("hp."):
                    case.hp[rest.removeprefix("hp.")] = arrays[key].tolist()
                else:
                    case.values[rest] = _plain(arrays[key])
    for missing in meta.keys() - cases.keys():
        raise ValueError(f"{name}.npz announces the case {missing} but holds nothing of it")
    return cases


def matches(folder: Path, rows: tuple[Row, ...]) -> Iterator[tuple[Row, str]]:
    """Yield every row with the name of every case it takes; `LookupError` for a row that takes none."""
    for row in rows:
        names = [name for name, case in load(folder, row.file).items() if name != "shared" and row.takes(case)]
        if not names:
            raise LookupError(f"{folder / row.file}.npz has no case with the inputs {row.inputs}")
        yield from ((row, name) for name in names)


def _plain(array: np.ndarray) -> Any:
    if array.ndim == 0:
        return array.item()
    return torch.from_numpy(array.astype(np.float64) if array.dtype.kind == "f" else array)
