"""Offline runs of wandb, read back by wandb's own definition of a record (its reader is no Python any more)."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768
"""Bytes of a block of wandb's log; no record's header is cut by the end of one."""
FULL, LAST = 1, 4
"""Kinds of a piece: a whole record, the end of one."""


def records(file: Path) -> Iterator[Record]:
    """Yield the records of an offline run: pieces with a header of checksum, length and place in the record."""
    data, place, whole = file.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (FULL, LAST):
            yield Record.FromString(whole)
            whole = b""


def read_back(folder: Path) -> dict:
    """Return group, project, configuration, history and summary of an offline run."""
    found: dict = {"history": [], "config": {}, "summary": {}}

    def values(items):
        return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}

    (file,) = folder.glob("*.wandb")
    for record in records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found |= {"group": record.run.run_group, "project": record.run.project}
        elif kind in ("config", "summary"):
            found[kind] |= values(getattr(record, kind).update)
        elif kind == "history":
            found["history"].append(values(record.history.item) | {"step": record.history.step.num})
    return found
