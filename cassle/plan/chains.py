"""Chains: the trainings of an objective from task to task, with the memories and evaluations along the way."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cassle.contracts.jobs import MemoryJob, TrainJob
from cassle.contracts.layout import FIRST, TaskFolder
from cassle.contracts.specs import MemorySpec, TrainSpec
from cassle.data.base import datasets
from cassle.data.streams import Stream
from cassle.plan.components import LabeledComponent
from cassle.plan.methods import Method
from cassle.plan.plan import Plan
from cassle.plan.probes import EvaluationPlan
from cassle.settings.study import Study
from cassle.strategies.compose import keeps_memory, shares_first_task


@dataclass(frozen=True)
class Chain:
    """The runs of one (stream, backbone, objective, seed)."""

    study: Study
    stream: Stream
    backbone: LabeledComponent
    method: Method
    seed: int
    evaluation: EvaluationPlan
    """EvaluationPlan of each checkpoint, on the chain's tasks, or on those that joint training is compared on."""

    def add_to(self, plan: Plan) -> None:
        """Add every run: those of the strategies, and joint training if the study has it."""
        for strategy in self.method.strategies:
            self._add_tasks(plan, strategy)
        if self.method.joint is not None:
            self._joint(self.method.joint)._add_joint_training(plan)

    def _add_tasks(self, plan: Plan, strategy: LabeledComponent) -> None:
        """Add every task of a strategy, its memory after each task but the last, and each evaluation."""
        previous = memory = None
        for task in range(self.stream.tasks):
            job = self._job(strategy, task, previous, memory)
            self._add(plan, job)
            previous = job.at
            if keeps_memory(strategy.name) and task < self.stream.tasks - 1:
                kept = self._memory(strategy, job)
                plan.memory[str(kept.at)] = kept
                memory = kept.at

    def _joint(self, objective: LabeledComponent) -> Chain:
        """Return the chain of one task that has all data of the stream."""
        joint = Stream.parse(f"{self.stream.dataset}-all", {self.stream.dataset: self.stream.data})
        return replace(self, stream=joint, method=self.method.offline(objective))

    def _add_joint_training(self, plan: Plan) -> None:
        """Add the single task of a joint stream, evaluated on the tasks of the stream it bounds."""
        plan.joint[self.evaluation.stream.name] = self.stream.name
        self._add(plan, self._job(None, 0, None, None))

    def _add(self, plan: Plan, job: TrainJob) -> None:
        """Add a training and its evaluation."""
        plan.streams[self.stream.name] = self.stream
        plan.add_train(job)
        plan.add_probe(self.evaluation.of_checkpoint(job.at, self.seed))

    def _job(
        self, strategy: LabeledComponent | None, task: int, previous: TaskFolder | None, memory: TaskFolder | None
    ) -> TrainJob:
        """Return the training of a task, from the previous checkpoint and memory, if they exist."""
        if strategy is not None and task == 0 and shares_first_task(strategy.name):
            strategy = None
        spec = TrainSpec(
            stream=self.stream,
            task=task,
            seed=self.seed,
            backbone=self.backbone.component,
            objective=self.method.objective.component,
            strategy=None if strategy is None else strategy.component,
            training=self.method.training,
            first_checkpoint=self.method.first_checkpoint,
        )
        taken_over = task == 0 and self.method.first_checkpoint is not None
        return TrainJob(
            at=self._at(FIRST if strategy is None else strategy.label, task),
            spec=spec,
            gpus=self.study.execution.gpus_of(datasets.get(self.stream.dataset).gpus),
            previous=previous,
            memory=memory,
            first_checkpoint=self.study.first_checkpoint if taken_over else None,
        )

    def _memory(self, strategy: LabeledComponent, job: TrainJob) -> MemoryJob:
        """Return the memory of a strategy after a training, whose first task it may share."""
        return MemoryJob(
            at=self._at(strategy.label, job.spec.task),
            spec=MemorySpec(**{**dict(job.spec), "strategy": strategy.component}),
            gpus=job.gpus,
            checkpoint=job.at,
            previous=job.memory,
        )

    def _at(self, strategy: str, task: int) -> TaskFolder:
        objective = self.method.objective.label
        return TaskFolder(self.stream.name, self.backbone.label, objective, strategy, self.seed, task)
