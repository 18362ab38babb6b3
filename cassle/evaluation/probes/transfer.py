"""Transfer: the classifier trained and tested on a dataset that the network has not seen."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from cassle.evaluation.base import Evaluation, probes
from cassle.evaluation.nested import Classifier, Nested, NestedSettings


class TransferSettings(NestedSettings):
    """Settings of transfer; the default is the paper's."""

    to: str = Field(
        "domainnet-domain1",
        pattern=r"^[a-z0-9_]+-[a-z]+[0-9]*$",
        description="stream whose images are classified, such as DomainNet's first domain, Real",
    )
    classifier: Classifier = Field(
        default={"name": "linear"}, validate_default=True, description="the probe whose classifier is trained there"
    )


@probes.register("transfer")
class Transfer(Nested[TransferSettings]):
    """Linear evaluation on another dataset, at the image size that the network was trained for."""

    Settings = TransferSettings

    @property
    def transfer_target(self) -> str:
        """The other dataset's stream; its tasks are what accuracies are given for."""
        return str(self.settings.to)

    def scores(self, data: Evaluation) -> Tensor:
        """Return the classifier's scores; ``data`` is of the other stream."""
        return self.classifier.scores(data)
