"""Ways in which a record can be damaged."""

import json
from collections.abc import Callable
from pathlib import Path

REMEDY = "delete that file and run the workflow again"
DAMAGED: dict[str, Callable[[str], str | bytes]] = {
    "an empty object": lambda text: "{}",
    "a list": lambda text: "[]",
    "null": lambda text: "null",
    "a number": lambda text: "3",
    "nothing": lambda text: "",
    "half a file": lambda text: text[: len(text) // 2],
    "3,000 brackets": lambda text: "[" * 3000,
    "not UTF-8": lambda text: text.encode().replace(b'"', b'"\xe9', 1),
    "another type": lambda text: json.dumps({key: [[value]] for key, value in json.loads(text).items()}),
    "a newer version": lambda text: json.dumps({**json.loads(text), "version": 99}),
    "an odd version": lambda text: json.dumps({**json.loads(text), "version": "two"}),
}
"""Kind of damage -> function from the text of a record to the damaged text."""


def damage(file: Path, how: str) -> None:
    """Damage a file that has one record."""
    found = DAMAGED[how](file.read_text())
    file.write_bytes(found if isinstance(found, bytes) else found.encode())


def damage_first_line(file: Path, how: str) -> None:
    """Damage the first of a file's records, one per line."""
    first, _, rest = file.read_text().partition("\n")
    found = DAMAGED[how](first)
    file.write_bytes((found if isinstance(found, bytes) else found.encode()) + f"\n{rest}".encode())
