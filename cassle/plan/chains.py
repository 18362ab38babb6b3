"""Chains: the trainings of an objective from task to task, with what strategies keep and the evaluations on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cassle.contracts.layout import FIRST
from cassle.data.base import datasets
from cassle.data.streams import Stream
from cassle.plan.jobs import MemoryJob, TrainJob
from cassle.plan.methods import Method
from cassle.plan.parts import Part
from cassle.plan.plan import Plan
from cassle.plan.probes import Evaluation
from cassle.settings.study import Study
from cassle.strategies.compose import keeps_memory, shares_first_task


@dataclass(frozen=True)
class Chain:
    """The runs of one (stream, backbone, objective, seed)."""

    study: Study
    stream: Stream
    backbone: Part
    method: Method
    seed: int
    evaluation: Evaluation
    """That of each checkpoint; its stream has the tasks of the chain's, or those that joint training is compared by."""

    def add_to(self, plan: Plan) -> None:
        """Add every run: those of the strategies, and joint training if the study asks for it."""
        for strategy in self.method.strategies:
            self._add_tasks(plan, strategy)
        if self.method.joint is not None:
            self._joint(self.method.joint)._add_joint_training(plan)

    def _add_tasks(self, plan: Plan, strategy: Part) -> None:
        """Add every task of a strategy, what it keeps after each but the last, and each evaluation."""
        parent = memory = None
        for task in range(self.stream.tasks):
            job = replace(self._job(strategy, task), parent=parent, memory=memory)
            self._add(plan, job)
            parent = job.folder
            if keeps_memory(strategy.name) and task < self.stream.tasks - 1:
                kept = self._memory(strategy, job)
                plan.memory[kept.folder] = kept
                memory = kept.file

    def _joint(self, objective: Part) -> Chain:
        """Return the chain of one task that has all data of the stream."""
        joint = Stream.parse(f"{self.stream.dataset}-all", {self.stream.dataset: self.stream.data})
        return replace(self, stream=joint, method=self.method.offline(objective))

    def _add_joint_training(self, plan: Plan) -> None:
        """Add the single task of a joint stream, evaluated on the tasks of the stream it bounds."""
        plan.joint[self.evaluation.stream.name] = self.stream.name
        self._add(plan, self._job(None, 0))

    def _add(self, plan: Plan, job: TrainJob) -> None:
        """Add a training and its evaluation."""
        plan.streams[self.stream.name] = self.stream
        plan.add_train(job)
        plan.add_probe(self.evaluation.of_checkpoint(job.folder, self.seed))

    def _job(self, strategy: Part | None, task: int) -> TrainJob:
        """Return the training of a task as if nothing came before it."""
        if strategy is not None and task == 0 and shares_first_task(strategy.name):
            strategy = None
        spec = {
            "stream": self.stream.model_dump(mode="json"),
            "task": task,
            "seed": self.seed,
            "backbone": self.backbone.spec(),
            "objective": self.method.objective.spec(),
            "strategy": None if strategy is None else strategy.spec(),
            "training": self.method.training.model_dump(mode="json"),
        }
        given = self.method.given
        if given is not None:
            spec["first_checkpoint"] = given
        return TrainJob(
            folder=self._folder(FIRST if strategy is None else strategy.label, task),
            spec=spec,
            parent=None,
            gpus=self._gpus(),
            given=self.study.first_checkpoint if given and task == 0 else None,
        )

    def _memory(self, strategy: Part, job: TrainJob) -> MemoryJob:
        """Return what a strategy keeps after a training, whose first task it may share."""
        return MemoryJob(
            folder=self._folder(strategy.label, job.spec["task"]),
            spec={**job.spec, "strategy": strategy.spec()},
            checkpoint=job.folder,
            previous=job.memory,
            gpus=job.gpus,
        )

    def _gpus(self) -> int:
        return self.study.execution.gpus_of(datasets.get(self.stream.dataset).gpus)

    def _folder(self, label: str, task: int) -> str:
        objective = self.method.objective.label
        return f"results/{self.stream.name}/{self.backbone.label}/{objective}/{label}/seed{self.seed}/task{task}"
