"""Registries of objectives, strategies, datasets, ...: a decorator registers a name, a module per entry."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from cassle.core.errors import SettingsError, unknown

T = TypeVar("T")


class Names(NamedTuple):
    """Which names may be registered, as a pattern and as a user reads it."""

    pattern: str
    described: str


IN_PATHS = Names(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", "letters, digits, _ and -")
"""Names become parts of paths: of folders of results, and of parts that are joined by + and ~."""
IN_STREAMS = Names(r"[a-z0-9_]{1,64}", "small letters, digits and _")
"""Names become parts of streams, in which a - and the scenario follow."""


class Registry(Generic[T]):
    """Maps names to classes or functions; every module of ``package`` is imported at the first look-up.

    A new entry is therefore one new file in the package, or a plugin file outside it (`load_plugins`). ``reserved``
    names mean something else in folders or tables.
    """

    def __init__(self, kind: str, package: str, names: Names = IN_PATHS, reserved: Collection[str] = ()) -> None:
        self.kind = kind
        self.package = package
        self.allowed = names
        self.reserved = reserved
        self._entries: dict[str, T] = {}
        self._imported = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under ``name``; a second owner of a name is an error."""

        def add(entry: T) -> T:
            if not re.fullmatch(self.allowed.pattern, name):
                raise SettingsError(f"{self.kind} '{name}': a name has up to 64 {self.allowed.described}, no others")
            if name in self.reserved:
                raise SettingsError(
                    f"{self.kind} '{name}': this name means something else in results; take another one than "
                    f"{', '.join(self.reserved)}"
                )
            held = self._entries.get(name)
            if held is not None and getattr(held, "__module__", None) != getattr(entry, "__module__", None):
                raise SettingsError(f"two {self.kind}s are called '{name}': {held!r} and {entry!r}; rename one")
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """Return the entry called ``name``; `SettingsError` with the nearest name if there is none."""
        self._import_package()
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries)
        return self._entries[name]

    def title(self, name: str) -> str:
        """Return what tables and figures print: the entry's own attribute ``title``, or else its name with spaces."""
        return str(vars(self.get(name)).get("title", name.replace("_", " ")))

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        self._import_package()
        return sorted(self._entries)

    def _import_package(self) -> None:
        if not self._imported:
            package = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self.package}.{module.name}")
            self._imported = True


def module_names(package: str) -> list[str]:
    """Return the names that the modules of a package register, one per file, without importing them."""
    root, *names = package.split(".")
    found = importlib.util.find_spec(root)  # of a package inside it, `find_spec` would import what is above
    places = [Path(place).joinpath(*names) for place in (found and found.submodule_search_locations) or ()]
    modules = pkgutil.iter_modules(map(str, places))
    return sorted(module.name for module in modules if module.name != "base" and not module.ispkg)


PLUGIN = "cassle_plugin_"
"""What the names of plugins' modules begin with."""


def of_plugin(entry: object) -> bool:
    """Return whether an entry of a registry was registered by a file outside this package."""
    return getattr(entry, "__module__", "").startswith(PLUGIN)


def place_in_plugin(error: BaseException) -> str:
    """Return `` (file.py, line 7)``, the innermost line of a plugin that an error went through, or nothing."""
    steps = traceback.walk_tb(error.__traceback__)
    found = [(frame, line) for frame, line in steps if frame.f_globals.get("__name__", "").startswith(PLUGIN)]
    return f" ({Path(found[-1][0].f_code.co_filename).name}, line {found[-1][1]})" if found else ""


def load_plugins(files: Iterable[str | Path]) -> None:
    """Import Python files that register further objectives, strategies, ...; each file once per process."""
    for file in map(Path, files):
        place = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
        name = f"{PLUGIN}{file.stem}_{place}"
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None or not file.is_file():
            raise SettingsError(f"plugin {file} is not a readable Python file; 'plugins' takes paths to .py files")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise SettingsError(f"plugin {file} cannot be imported: {type(error).__name__}: {error}") from error
