"""The base of every typed group of settings, and how mappings of settings are read, merged and compared."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar, Union, get_args, get_origin

import typing_extensions
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from cassle.core.errors import SettingsError, nearest

M = TypeVar("M", bound=BaseModel)


_WANTED = {
    "list_type": "must be a list",
    "dict_type": "must hold keys and values, such as {key: value}",
    "model_type": "must hold keys and values, such as {key: value}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}
"""What was wanted in place of a value of another type, in words of YAML and not of Python."""

LONGEST_NAME = 255
"""Bytes of a file's or folder's name that usual file systems take."""


def _possible(path: str) -> str:
    """Return a path that a file system can have; what is no such path fails here and not in the middle of a job."""
    if "\0" in path:
        raise ValueError("a path has no character NUL")
    try:
        names = path.encode().split(b"/")
    except UnicodeEncodeError:
        raise ValueError("a path has to be written in UTF-8") from None
    if max(map(len, names)) > LONGEST_NAME:
        raise ValueError(f"a name in a path has at most {LONGEST_NAME} bytes")
    return path


PathText = Annotated[str, AfterValidator(_possible)]
"""A path as a setting: any signs that a shell would stumble over are welcome."""
Share = Annotated[float, Field(gt=0, le=1)]
"""A part of something, up to all of it."""


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first number is the smallest one, the second the largest")
    return pair


Range = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_rising)]
"""Smallest and largest value, both above 0."""
Area = Annotated[tuple[Share, Share], AfterValidator(_rising)]
"""Smallest and largest share of an image, above 0 and up to 1."""


class Options(BaseModel):
    """A strict, frozen group of settings: an unknown key is an error, every field has a description."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some values changed, without the cached properties that followed from the old ones."""
        made = super().model_copy(update=update, deep=deep)
        for key in made.__dict__.keys() - type(made).model_fields.keys():
            del made.__dict__[key]
        return made


S = typing_extensions.TypeVar("S", bound=Options, covariant=True, default=Options)
"""Type of the settings of an objective, strategy, backbone or probe; `Options` for a class that gives none."""


def parse(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """Return ``model(**values)``; `SettingsError` naming key, place and the nearest valid name."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        found: dict[str, list[str]] = {}
        for one in error.errors():
            place, wanted = _explain(model, dict(one))
            found.setdefault(place, []).append(wanted)
        # one line for all kinds of values that a key allows
        lines = (f"{where}: {place}{', or '.join(dict.fromkeys(wanted))}" for place, wanted in found.items())
        raise SettingsError("\n".join(lines)) from error


def _explain(model: type[BaseModel], error: dict[str, Any]) -> tuple[str, str]:
    """Return the place of an error and what is wanted there."""
    loc = tuple(error["loc"])
    key = ".".join(map(str, _without_kinds(model, loc)))
    if error["type"] == "extra_forbidden":
        known = _fields_at(model, loc[:-1])
        return f"unknown key '{key}': ", "another kind has it" if loc[-1] in known else nearest(str(loc[-1]), known)
    if error["type"] == "missing":
        return f"'{key}' ", "is missing"
    if not loc:
        return "", str(error["msg"].removeprefix("Value error, "))
    given = error.get("input")
    said = _WANTED.get(error["type"], str(error["msg"]).removeprefix("Value error, "))
    if error["type"] == "list_type" and isinstance(given, str | int | float):
        said += f", such as [{given}]"
    if isinstance(given, str) and re.search(r"\de[-+]?\d", given) and error["type"].startswith(("float", "int")):
        said += " (YAML reads 3e-4 as text: write 3.0e-4)"
    return f"'{key}' = {given!r}: ", said


def _without_kinds(annotation: Any, loc: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a place as it is written in settings, without the names that pydantic gives to the parts of a union."""
    if not loc:
        return ()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(loc[0])
        return (loc[0], *(_without_kinds(field.annotation, loc[1:]) if field else loc[1:]))
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (list, dict, tuple):
        return (loc[0], *_without_kinds(parts[-1], loc[1:]))
    if origin in (Union, types.UnionType):
        kinds = [part for part in parts if part is not type(None)]
        rest = loc if len(kinds) == 1 else loc[1:]  # a kind has no name where there is no other
        return max((_without_kinds(part, rest) for part in kinds), key=len)
    return _without_kinds(parts[0], loc) if origin is Annotated else ()


def _fields_at(annotation: Any, loc: tuple[Any, ...]) -> set[str]:
    """Return the names of the fields at a place inside a model, through lists, mappings and unions."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType) or (origin is not None and origin.__name__ == "Annotated"):
        return set().union(*(_fields_at(part, loc) for part in get_args(annotation)))
    if origin in (list, dict, tuple):
        return _fields_at(get_args(annotation)[-1], loc[1:]) if loc else set()
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return set()
    if not loc:
        return set(annotation.model_fields)
    if loc[0] in annotation.model_fields:
        return _fields_at(annotation.model_fields[loc[0]].annotation, loc[1:])
    return _fields_at(annotation, loc[1:])  # the tag of a discriminated union


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes`` laid over it, mappings inside merged alike.

    A mapping with another ``name`` is another thing (an optimizer, a distillation) and replaces the old one whole.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and value.get("name") in (None, old.get("name")):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result


def differences(base: Any, other: Any, prefix: str = "") -> dict[str, Any]:
    """Return the dotted keys in which ``other`` differs from ``base``, with the values of ``other``.

    >>> differences({"a": {"b": 1}, "c": [1, 2]}, {"a": {"b": 2}, "c": [1, 2]})
    {'a.b': 2}
    """
    if isinstance(base, Mapping) and isinstance(other, Mapping):
        found: dict[str, Any] = {}
        for key in sorted({*base, *other}):
            found |= differences(base.get(key), other.get(key), f"{prefix}{key}.")
        return found
    if isinstance(base, list) and isinstance(other, list) and len(base) == len(other):
        found = {}
        for place, pair in enumerate(zip(base, other, strict=True)):
            found |= differences(*pair, f"{prefix}{place}.")
        return found
    return {} if base == other else {prefix.rstrip("."): other}
