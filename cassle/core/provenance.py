"""What made a result: a fingerprint of the code that matters to it, and the versions of the libraries."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "numpy", "pillow", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries results depend on."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def code_fingerprint(roots: Iterable[str | Path]) -> str:
    """Return 16 digits that name the meaning of Python files and of every `cassle` module they import.

    Comments, docstrings, formatting and the order of files do not count.
    """
    digest = hashlib.sha256()
    for name, meaning in sorted(_closure(roots).values()):
        digest.update(f"{name}\n{meaning}\n".encode())
    return digest.hexdigest()[:16]


def code_of(*modules: str) -> str:
    """Return the fingerprint of modules by name, without importing them."""
    return code_fingerprint(_file(module) or module for module in modules)


def class_file(owner: type) -> Path:
    """Return the file a class was written in, plugins included."""
    return Path(str(sys.modules[owner.__module__].__file__))


@cache
def _parsed(file: Path, changed: int) -> tuple[str, tuple[Path, ...]]:
    """Return what a Python file, last ``changed`` then, means as text, and the `cassle` files it imports."""
    tree = ast.parse(file.read_text())
    return _meaning(tree), tuple(_imports(tree))


def _meaning(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [n for n in body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _closure(roots: Iterable[str | Path]) -> dict[Path, tuple[str, str]]:
    """Return file -> (name, meaning) of files and of the `cassle` modules they import; no name depends on the place."""
    found: dict[Path, tuple[str, str]] = {}
    waiting = [Path(root) for root in roots]
    package = Path(__file__).parents[1]
    while waiting:
        file = waiting.pop().resolve()
        if file in found:
            continue
        name = file.relative_to(package).as_posix() if file.is_relative_to(package) else file.name
        meaning, imported = _parsed(file, file.stat().st_mtime_ns)
        found[file] = (name, meaning)
        waiting.extend(imported)
    return found


def _imports(tree: ast.Module) -> list[Path]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    files = (_file(name) for name in names if name.split(".")[0] == "cassle")
    return [file for file in files if file is not None]


def _file(module: str) -> Path | None:
    base = Path(__file__).parents[2].joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
