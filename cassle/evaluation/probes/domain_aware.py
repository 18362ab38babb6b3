"""Domain-aware evaluation: a classifier per domain, trained and tested on that domain's images."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from cassle.core.errors import DataError
from cassle.data.streams import Stream
from cassle.evaluation.base import Evaluation, probes
from cassle.evaluation.nested import Classifier, Nested, NestedSettings


class DomainAwareSettings(NestedSettings):
    """Settings of domain-aware evaluation."""

    classifier: Classifier = Field(
        default={"name": "linear"}, validate_default=True, description="the probe whose classifier each domain trains"
    )


@probes.register("domain_aware")
class DomainAware(Nested[DomainAwareSettings]):
    """As many classifiers as the stream has domains, each over all classes."""

    title = "domain-aware"
    Settings = DomainAwareSettings

    def scores(self, data: Evaluation) -> Tensor:
        """Return for each test image the scores of its own domain's classifier."""
        scores = data.test.features.new_zeros(len(data.test), data.num_classes)
        for task in range(data.tasks):
            own, tested = data.train.task == task, data.test.task == task
            if not bool(own.any()):
                raise DataError(f"probe domain_aware: task {task} has no training images; prepare the dataset again")
            scores[tested] = self.classifier.scores(data.trained_on(own).tested_on(tested)).to(scores)
        return scores

    def incompatibility(self, stream: Stream) -> str | None:
        """Return a reason where tasks are no domains."""
        return None if stream.scenario == "domain" else "its tasks are no domains; leave that probe out"
