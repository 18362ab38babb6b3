"""Reads the pickles that data sets come in, without running anything that is in them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from cassle.errors import DataError

MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
NAMES = ("ndarray", "dtype", "_reconstruct", "_frombuffer", "scalar")


class _Arrays(pickle.Unpickler):
    """Reads arrays, numbers, texts and containers of them; a pickle that asks for anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module in MODULES and name in NAMES) or (module, name) == ("_codecs", "encode"):
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no data")


def read_pickle(file: Path) -> dict[str, Any]:
    """Return a pickled mapping, Python 2's too; `DataError` if it is missing, damaged or more than data."""
    try:
        with file.open("rb") as opened:
            content = _Arrays(opened, encoding="latin1").load()
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    except Exception as error:  # a damaged pickle can raise almost anything
        raise damaged(file, str(error)) from error
    if not isinstance(content, dict):
        raise damaged(file, f"it holds a {type(content).__name__}")
    return content


def damaged(file: Path, why: str) -> DataError:
    """Return the error for a file that does not hold what it should."""
    return DataError(f"{file} is damaged or something else: {why}; delete it and unpack the archive again")
