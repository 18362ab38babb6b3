"""The stream: how a dataset is split into tasks, and its name (CaSSLe, 2112.04215, Section 5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from cassle.core.errors import SettingsError, nearest
from cassle.core.files import canonical_json, fingerprint
from cassle.core.options import Options, differences, parse

if TYPE_CHECKING:
    from cassle.data.base import Dataset

Scenario = Literal["class", "data", "domain", "all"]
SCENARIOS = ("class", "data", "domain", "all")


class Stream(Options):
    """A dataset split into tasks of one scenario."""

    dataset: str = Field(description="name of the dataset")
    scenario: Scenario = Field(description="what changes from task to task")
    tasks: int = Field(gt=0, description="number of tasks")
    class_order: Literal["paper"] | int | list[int] = Field(
        "paper", description="order of classes: the paper's, a seed of its own, or a list of class numbers"
    )
    domain_order: Literal["paper"] | list[str] = Field("paper", description="domains in the order of their tasks")
    data: dict[str, Any] = Field(
        default_factory=dict, description="settings of the dataset in which results differ; none of them is a place"
    )

    @cached_property
    def name(self) -> str:
        """The folder name, such as ``cifar100-class5`` or ``cifar100-class5~class_order=7``."""
        base = f"{self.dataset}-all" if self.scenario == "all" else f"{self.dataset}-{self.scenario}{self.tasks}"
        orders = {key: getattr(self, key) for key in ("class_order", "domain_order") if getattr(self, key) != "paper"}
        return _labeled(base, orders | self._unusual(self.data))

    @property
    def index_data(self) -> dict[str, Any]:
        """The settings of the dataset that determine its index, not only how its images are used."""
        unused = _dataset(self.dataset).view_keys
        return {key: value for key, value in self.data.items() if key not in unused}

    @cached_property
    def index(self) -> str:
        """The folder name of the dataset's index."""
        return _labeled(self.dataset, self._unusual(self.index_data))

    def _unusual(self, data: dict[str, Any]) -> dict[str, Any]:
        usual = _dataset(self.dataset)().determining()
        return differences({key: usual.get(key) for key in data}, data)

    def open(self, places: Mapping[str, Mapping[str, Any]]) -> Dataset:
        """Return the dataset with the stream's settings; ``places``: settings per dataset of where this runs."""
        return _dataset(self.dataset)(**{**places.get(self.dataset, {}), **self.data})

    @classmethod
    def parse(cls, text: str, data: Mapping[str, Mapping[str, Any]] | None = None, **options: Any) -> Stream:
        """Return the stream called e.g. ``digits-domain5``, ``digits-domain`` (all domains) or ``digits-all``.

        ``data`` holds settings per dataset; those that determine results become the stream's.
        """
        match = re.fullmatch(r"([a-z0-9_]+)-([a-z]+)(\d*)", text)
        if match is None:
            raise SettingsError(f"'{text}' is not a stream: write dataset, scenario and tasks, such as cifar100-class5")
        name, scenario, number = match.groups()
        kind = _dataset(name)
        if scenario not in SCENARIOS:
            raise SettingsError(f"stream {text}: there is no scenario '{scenario}': {nearest(scenario, SCENARIOS)}")
        dataset = kind(**(data or {}).get(name, {}))
        tasks = int(number) if number else {"all": 1, "domain": len(dataset.domains)}.get(scenario, 0)
        if not tasks and not number:
            raise SettingsError(f"stream {text}: write the number of tasks behind it, such as {text}5")
        cut = {"dataset": name, "scenario": scenario, "tasks": tasks, "data": dataset.determining()}
        stream = parse(cls, {**cut, **options}, f"stream {text}")
        stream.check(dataset.num_classes, dataset.domains)
        return stream

    def check(self, num_classes: int | None, domains: tuple[str, ...]) -> None:
        """Raise `SettingsError` if the dataset does not allow this stream."""
        if self.domain_order != "paper" and self.scenario != "domain":
            raise SettingsError(f"{self.name}: domain_order belongs to domain-incremental streams")
        if self.class_order != "paper" and self.scenario != "class":
            raise SettingsError(f"{self.name}: class_order belongs to class-incremental streams")
        if isinstance(self.class_order, list) and num_classes is not None:
            _check_order(self.name, self.class_order, num_classes)
        if self.scenario == "all" and self.tasks != 1:
            raise SettingsError(f"{self.dataset}-all has one task, not {self.tasks}")
        if self.scenario == "class" and num_classes is not None and self.tasks > num_classes:
            raise SettingsError(f"{self.name}: {self.dataset} has only {num_classes} classes")
        if self.scenario == "domain" and domains and self.tasks > len(domains):
            raise SettingsError(f"{self.name}: {self.dataset} has {len(domains)} domains: {', '.join(domains)}")
        if self.domain_order != "paper":
            for domain in self.domain_order:
                if domains and domain not in domains:
                    raise SettingsError(f"{self.dataset} has no domain '{domain}': {nearest(domain, domains)}")
            if not len(set(self.domain_order)) == len(self.domain_order) == self.tasks:
                raise SettingsError(f"{self.name}: domain_order must name {self.tasks} different domains")


def _labeled(base: str, changes: dict[str, Any]) -> str:
    """Return a folder name with the settings that differ (a hash where they are long or have other signs)."""
    if not changes:
        return base
    text = "~".join(f"{key}={canonical_json(value).strip(chr(34))}" for key, value in changes.items())
    simple = re.fullmatch(r"[A-Za-z0-9_=~.]{1,40}", text)
    return f"{base}~{text if simple else fingerprint(changes)[:10]}"


def class_order(stream: Stream, num_classes: int) -> list[int]:
    """Return the classes in the order in which tasks take them."""
    if isinstance(stream.class_order, int):
        import torch  # imported here, because naming a stream does not need torch

        made = torch.Generator().manual_seed(stream.class_order)
        return torch.randperm(num_classes, generator=made).tolist()  # type: ignore[no-any-return]
    if stream.class_order == "paper":
        return list(_dataset(stream.dataset).class_order or range(num_classes))
    _check_order(stream.name, stream.class_order, num_classes)
    return stream.class_order


def _check_order(name: str, order: list[int], num_classes: int) -> None:
    if sorted(order) != list(range(num_classes)):
        raise SettingsError(f"{name}: class_order must name each class from 0 to {num_classes - 1} once")


def _dataset(name: str) -> type[Dataset]:
    from cassle.data.base import datasets  # and with it numpy, which `cassle status` can do without

    return datasets.get(name)
