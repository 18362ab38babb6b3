"""The table of distillation forms: one line per form of the golden files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .files import Row


@dataclass(frozen=True)
class Form(Row):
    """A registered form, and the names of its settings and tensors in a golden file.

    ``settings`` maps the form's settings to hyper-parameters. A form that needs more than projections names the
    ``objective`` it distils with its settings, and maps the file's tensors to attributes of the distillation
    (``own``) and of the teacher's objective (``teacher``).
    """

    name: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    objective: str = "simclr"
    objective_settings: Mapping[str, str | Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)
    teacher: Mapping[str, str] = field(default_factory=dict)

    def cassle_settings(self, hp: Mapping[str, Any], **predictor: int) -> dict[str, Any]:
        """Return settings of CaSSLe with this form, for the hyper-parameters of a case."""
        settings = {key: hp[theirs] for key, theirs in self.settings.items()}
        return {"weight": hp["distill_lamb"], "distillation": {"name": self.name, **settings, **predictor}}


FORMS = {
    "contrastive": Form("distill_contrastive", name="contrastive", settings={"temperature": "distill_temperature"}),
    "decorrelative": Form(
        "distill_decorrelative",
        name="decorrelative",
        settings={"lamb": "distill_barlow_lamb", "scale_loss": "distill_scale_loss"},
    ),
    "predictive": Form("distill_predictive", name="predictive"),
    "knowledge": Form(
        "distill_knowledge",
        name="prototypes",
        settings={"temperature": "distill_temperature"},
        objective="swav",
        objective_settings={"num_prototypes": "C", "prototypes": lambda hp: "free"},
        own={"proto_v": "prototypes.direction", "proto_g": "prototypes.gain"},
        teacher={"frozen_proto_v": "prototypes.direction", "frozen_proto_g": "prototypes.gain"},
    ),
    "predictive_mse": Form("distill_predictive_mse", name="mse"),
}
"""Name of the form in golden files -> how to build it."""
