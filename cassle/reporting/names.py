"""Names as they are printed in papers, and the two strategies that are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

OFFLINE, RANDOM = "offline", "random"
"""Joint training on everything, and no training at all."""
FINETUNE = "finetune"
"""What every strategy is compared with."""
NAMES = {
    "simclr": "SimCLR",
    "supcon": "SupCon",
    "mocov2plus": "MoCoV2+",
    "byol": "BYOL",
    "simsiam": "SimSiam",
    "nnclr": "NNCLR",
    "ressl": "ReSSL",
    "barlow_twins": "Barlow Twins",
    "vicreg": "VICReg",
    "swav": "SwAV",
    "deepclusterv2": "DeepClusterV2",
    "dino": "DINO",
    "wmse": "W-MSE",
    "supervised": "Supervised",
    "finetune": "fine-tuning",
    "cassle": "CaSSLe",
    "ewc": "EWC",
    "er": "ER",
    "der": "DER",
    "lump": "LUMP",
    "less_forget": "Less-Forget",
    "pod": "POD",
    "feature_distillation": "feature distillation",
    "pfr": "PFR",
    "pnr": "PNR",
    "random": "random network",
}


def pretty(label: str) -> str:
    """Return the printed name of a label, its variant kept.

    >>> pretty("simclr~epochs=2~lamb=0.1"), pretty("cassle+er")
    ('SimCLR (epochs=2, lamb=0.1)', 'CaSSLe+ER')
    """
    name, _, variant = label.partition("~")
    parts = "+".join(NAMES.get(part, part) for part in name.split("+"))
    changes = variant.replace("~", ", ")
    return f"{parts} ({changes})" if changes else parts


def shown_names(labels: Iterable[str], names: dict[str, str]) -> dict[str, str]:
    """Return label -> what is shown for it: its name where a preset alone made the label, if no other has that name."""
    found = {label: names.get(label, label) for label in labels}
    count = Counter(found.values())
    return {label: name if count[name] == 1 else label for label, name in found.items()}


def plain(label: str, names: dict[str, str]) -> str | None:
    """Return the registered name of a part that is used as its recipe says, None for a variant of it.

    ``names``: label -> name of those labels of a table that differ from their name although nobody asked for a change.
    What is called by a name that another label has was changed by hand, back to what it is without the preset.

    >>> plain("cassle", {}), plain("cassle", {"cassle~teacher_batchnorm=batch": "cassle"})
    ('cassle', None)
    """
    if label not in names and label in names.values():
        return None
    return names.get(label, None if "~" in label else label)
