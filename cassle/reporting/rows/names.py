"""Names in tables and figures: those of the settings, and titles as papers print them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

FINETUNE = "finetune"
"""The strategy that all others are compared with."""
RANDOM_TITLE = "random network"


def bare(label: str) -> str:
    """Return a label or name without what differs in it."""
    return label.partition("~")[0].partition(" (")[0]


def shown_names(rows: Iterable[tuple[str, str, str]], names: Mapping[str, str]) -> dict[str, str]:
    """Return label -> what is shown for it in a table of rows (backbone, objective, strategy).

    That is its name, or the label itself where two things that stand side by side would have one name: two backbones,
    two objectives, or two strategies of what is called one objective.
    """
    rows = list(rows)
    shown = {label: names.get(label, label) for row in rows for label in row}
    beside: dict[tuple[str, ...], set[str]] = {}
    for backbone, objective, strategy in rows:
        place = (shown[backbone], shown[objective])
        for kind, label in ((("backbones",), backbone), (("objectives",), objective), (place, strategy)):
            beside.setdefault(kind, set()).add(label)
    while alike := {label for group in beside.values() for label in group if _names_another(label, group, shown)}:
        shown |= {label: label for label in alike}
    return shown


def _names_another(label: str, group: set[str], shown: Mapping[str, str]) -> bool:
    """Return whether the name of a label, which is not the label itself, is that of another one, too."""
    name = shown[label]
    return name != label and any(shown[other] == name for other in group - {label})
