"""What made a result: a fingerprint of the code that matters to it, and the versions of the libraries."""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from cassle.core import errors

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "numpy", "pillow", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries results depend on."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


EXECUTION = (
    "core/log.py",
    "runtime/allocator.py",
    "runtime/gpus.py",
    "runtime/launch.py",
    "runtime/locks.py",
    "runtime/signals.py",
)
"""Files of the package that start and stop jobs, and change no result."""
MONITOR = "monitor/"
"""Folder of the package that watches jobs. It changes no result, but tables show the times it reads."""


def code_fingerprint(roots: Iterable[str | Path]) -> str:
    """Return 16 digits for the meaning of Python files, and of every `cassle` module they import, for a result.

    These do not count: comments, docstrings, formatting, the order of the files, descriptions of settings, texts of
    errors and of log lines, the titles of registered classes, and the modules in `EXECUTION` and `MONITOR`.
    """
    return _digest(_closure(roots, shown=False))


def code_of(*modules: str) -> str:
    """Return the fingerprint of modules by name, without importing them, for a table, figure or page.

    In contrast to `code_fingerprint`, titles and the modules in `MONITOR` count, as tables and pages show them.
    """
    return _digest(_closure((_file(module) or module for module in modules), shown=True))


def class_file(owner: type) -> Path:
    """Return the file a class was written in, plugins included."""
    return Path(str(sys.modules[owner.__module__].__file__))


def _digest(closure: dict[Path, tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for name, meaning in sorted(closure.values()):
        digest.update(f"{name}\n{meaning}\n".encode())
    return digest.hexdigest()[:16]


def _closure(roots: Iterable[str | Path], shown: bool) -> dict[Path, tuple[str, str]]:
    """Return file -> (name, meaning) of files and of the `cassle` modules they import; no name depends on the path.

    ``shown``: whether titles and the modules in `MONITOR` count.
    """
    found: dict[Path, tuple[str, str]] = {}
    waiting = [Path(root) for root in roots]
    package = Path(__file__).resolve().parents[1]
    outside = EXECUTION if shown else (*EXECUTION, MONITOR)
    while waiting:
        file = waiting.pop().resolve()
        name = file.relative_to(package).as_posix() if file.is_relative_to(package) else file.name
        if file in found or (file.is_relative_to(package) and name.startswith(outside)):
            continue
        meaning, imported = _parsed(file, file.stat().st_mtime_ns, shown)
        found[file] = (name, meaning)
        waiting.extend(imported)
    return found


@cache
def _parsed(file: Path, changed: int, titles: bool) -> tuple[str, tuple[Path, ...]]:
    """Return the meaning of a Python file, last changed at ``changed``, as text, and the `cassle` files it imports."""
    tree = ast.parse(file.read_text())
    _remove_docstrings(tree)
    tree = _WithoutTexts(tree, titles).visit(tree)
    return ast.dump(tree), tuple(_imports(tree))


def _remove_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [n for n in body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]  # type: ignore[attr-defined]


LOG_METHODS = ("debug", "info", "warning", "error", "exception", "critical", "log")


class _WithoutTexts(ast.NodeTransformer):
    """Removes the texts that change no result: descriptions, messages of errors and logs, and titles unless they count.

    A function counts by its origin, not by its name alone: a `Field` that is not pydantic's keeps its description.
    """

    def __init__(self, tree: ast.Module, titles: bool) -> None:
        self.titles = titles
        imports = _imported_names(tree)
        nodes = list(ast.walk(tree))
        bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        bound |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
        bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}

        def names(origin: str) -> set[str]:
            return {name for name, found in imports.items() if found == origin} - bound

        package = {f"cassle.core.errors.{name}" for name in vars(errors) if _is_error(errors, name)}
        self.errors = {name for name, origin in imports.items() if origin in package} - bound
        self.errors |= {name for name in vars(builtins) if _is_error(builtins, name)} - bound - imports.keys()
        for node in nodes:
            if isinstance(node, ast.ClassDef) and any(_dotted(base) in self.errors for base in node.bases):
                self.errors.add(node.name)
        self.fields = names("pydantic.Field") | {f"{name}.Field" for name in names("pydantic")}
        self.prints = {"print"} - bound - imports.keys()
        self.logs = names("cassle.core.log.say") | {f"{name}.say" for name in names("cassle.core.log")}
        get_logger = names("logging.getLogger") | {f"{name}.getLogger" for name in names("logging")}
        loggers = names("logging")
        for node in nodes:
            if isinstance(node, ast.Assign) and _called(node.value) in get_logger:
                loggers |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        self.logs |= {f"{logger}.{method}" for logger in loggers for method in LOG_METHODS}

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = _called(node)
        if name in self.fields:
            node.keywords = [k for k in node.keywords if not (k.arg == "description" and _is_blank(_blank(k.value)))]
        elif name in self.errors or name in self.logs or (name in self.prints and _to_log(node)):
            node.args = [_blank(argument) for argument in node.args]
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        if node.msg is not None and _is_blank(_blank(node.msg)):
            node.msg = None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if not self.titles and any(
            (_called(decorator) or "").endswith(".register") for decorator in node.decorator_list
        ):
            node.body = [statement for statement in node.body if not _is_title(statement)]
        return self.generic_visit(node)


def _imported_names(tree: ast.Module) -> dict[str, str]:
    """Return name in a module -> its dotted origin, for everything it imports."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
    return names


def _called(node: ast.AST) -> str | None:
    """Return the dotted name of the function that an expression calls; None for anything else."""
    return _dotted(node.func) if isinstance(node, ast.Call) else None


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    base = _dotted(node.value) if isinstance(node, ast.Attribute) else None
    return f"{base}.{node.attr}" if base and isinstance(node, ast.Attribute) else None


def _is_error(module: object, name: str) -> bool:
    found = getattr(module, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def _is_title(statement: ast.stmt) -> bool:
    """Return whether a statement of a class is ``title = "..."``."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    named = [target.id for target in targets if isinstance(target, ast.Name)] == ["title"]
    return named and isinstance(getattr(statement, "value", None), ast.Constant)


def _to_log(call: ast.Call) -> bool:
    """Return whether a call of `print` writes to the standard output or error, which are a job's log."""
    files = [_dotted(keyword.value) for keyword in call.keywords if keyword.arg == "file"]
    return set(files) <= {"sys.stderr", "sys.stdout"}


def _is_blank(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == ""


def _acting(text: ast.expr) -> Iterator[ast.expr]:
    """Yield the expressions of an f-string and of its format specifications that call something."""
    for part in ast.iter_child_nodes(text):
        if isinstance(part, ast.FormattedValue):
            if any(isinstance(node, ACTING) for node in ast.walk(part.value)):
                yield part.value
            if part.format_spec is not None:
                yield from _acting(part.format_spec)


ACTING = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)


def _blank(text: ast.expr) -> ast.expr:
    """Return an argument with the words of its string removed.

    What an f-string computes with a call stays, as a call can have an effect; a name or an attribute is only shown.
    """
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        return ast.Constant("")
    if isinstance(text, ast.JoinedStr):
        return ast.Tuple(acting, ast.Load()) if (acting := list(_acting(text))) else ast.Constant("")
    if isinstance(text, ast.BinOp) and isinstance(text.op, ast.Add):
        left, right = _blank(text.left), _blank(text.right)
        return left if _is_blank(right) else right if _is_blank(left) else ast.BinOp(left, text.op, right)
    if isinstance(text, ast.IfExp):
        return ast.IfExp(text.test, _blank(text.body), _blank(text.orelse))
    return text


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
