"""What a study's tables and figures show: ``study.json``, as a plan writes it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from cassle.contracts.layout import OFFLINE
from cassle.contracts.records import Record, read_record

Place = tuple[str, str, str]
"""Backbone, objective, strategy."""
Kind = Literal["backbones", "objectives", "strategies", "probes"]


def printed(label: str, titles: Mapping[str, str]) -> str:
    """Return a label or name with titles in place of registered names; the settings that differ are kept.

    >>> titles = {"simclr": "SimCLR", "cassle": "CaSSLe"}
    >>> printed("simclr~epochs=2~lamb=0.1", titles), printed("cassle+er (weight=2)", titles)
    ('SimCLR (epochs=2, lamb=0.1)', 'CaSSLe+er (weight=2)')
    """
    name = label.partition("~")[0].partition(" (")[0]
    title = "+".join(titles.get(part, part) for part in name.split("+"))
    differing = label.removeprefix(name)
    return f"{title} ({differing[1:].replace('~', ', ')})" if differing.startswith("~") else title + differing


class TableRow(Record):
    """A row of a table: labels of what belongs together."""

    stream: str = Field(description="the stream whose tasks are evaluated")
    backbone: str = Field(description="the network")
    objective: str = Field(description="what is trained")
    strategy: str = Field(description="continual strategy; offline for joint training")
    probe: str = Field(description="what is asked of the checkpoints")
    epochs: int = Field(description="epochs of each task's training")

    @property
    def place(self) -> Place:
        """The components that name the row in its table."""
        return self.backbone, self.objective, self.strategy


class StudyRecord(Record):
    """A study as its tables see it. All but ``names`` speaks in labels, variants included."""

    name: str = Field(description="the study's name, that of its folder")
    streams: list[str] = Field(description="streams that are evaluated, in the order of the study")
    backbones: list[str] = Field(description="networks, in the order of the study")
    objectives: list[str] = Field(description="objectives, in the order of the study")
    strategies: list[str] = Field(description="strategies, in the order of the study; offline for joint training")
    probes: list[str] = Field(description="probes, in the order of the study")
    rows: list[TableRow] = Field(description="which of these belong together: one entry per row of a table")
    seeds: list[int] = Field(description="seeds that every row should have")
    presets: list[str] = Field(description="presets of the study's grids")
    names: dict[str, str] = Field(description="label -> what tables call it, where that is another word")
    titles: dict[Kind, dict[str, str]] = Field(
        description="backbones, objectives, strategies, probes: registered name -> title in tables and figures"
    )
    joint: dict[str, str] = Field(description="stream -> the stream of all its data, which offline models train on")
    own_recipes: bool = Field(description="whether recipes are not the repository's: nothing published compares")

    def name_of(self, label: str) -> str:
        """Return what tables call a label."""
        return self.names.get(label, label)

    def printed(self, kind: Kind, name: str) -> str:
        """Return a label, or its name in tables, with the titles of a kind in place of registered names."""
        return printed(name, self.titles.get(kind, {}))

    def title(self, stream: str, probe: str) -> str:
        """Return what a table is called: stream, probe, and the preset if it is not the usual one."""
        preset = f", preset {' and '.join(self.presets)}" if set(self.presets) != {"default"} else ""
        return f"{self.name_of(stream)}, probe {self.name_of(probe)}{preset}"

    def tables(self) -> list[tuple[str, str]]:
        """Return the (stream, probe) of every table, in the order of the study."""
        return list(dict.fromkeys((row.stream, row.probe) for row in self.rows))

    def rows_of(self, stream: str, probe: str) -> dict[Place, TableRow]:
        """Return the rows of a table, in the order of the study's lists."""
        own = {row.place: row for row in self.rows if (row.stream, row.probe) == (stream, probe)}
        return {place: own[place] for place in self.places() if place in own}

    def places(self) -> list[Place]:
        """Return every backbone with every objective and strategy, in the order of the study."""
        return list(product(self.backbones, self.objectives, self.strategies))

    def trained_on(self, stream: str, strategy: str) -> str:
        """Return the stream that the models of a row are trained on: for joint training that of everything."""
        return self.joint[stream] if strategy == OFFLINE else stream

    @model_validator(mode="after")
    def _complete(self) -> StudyRecord:
        listed = (self.streams, self.backbones, self.objectives, self.strategies, self.probes)
        for number, row in enumerate(self.rows):
            for label, labels in zip((row.stream, *row.place, row.probe), listed, strict=True):
                if label not in labels:
                    raise ValueError(f"rows.{number} has '{label}', which none of the study's lists has in its place")
            if row.strategy == OFFLINE and row.stream not in self.joint:
                raise ValueError(f"rows.{number} is of joint training, but 'joint' has no '{row.stream}'")
        return self


def read_summary(path: str | Path) -> StudyRecord:
    """Read what a study's tables show; `CassleError` naming the file, what is wrong with it and what to do."""
    return read_record(StudyRecord, Path(path))
