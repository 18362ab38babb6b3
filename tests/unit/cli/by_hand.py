"""What the tests of the command line type, and what they make by that."""

from pathlib import Path

from cassle.plan import Plan, targets

OVERRIDES = {"stream": "digits-domain2", "backbone": "conv3-narrow", "objective": "simclr", "strategy": "cassle"}
TRAINING = {"epochs": 1, "batch_size": 512}
TYPED = [f"{key}={value}" for key, value in OVERRIDES.items()] + ["training={epochs: 1, batch_size: 512}"]
PLAN = "plan.json"
INDEX, SPLIT = "results/data/digits/index.npz", "results/digits-domain2/split.npz"


def checkpoint_of(folder: Path, task: int) -> Path:
    return next(folder.glob(f"results/digits-domain2/*/simclr*/*/seed0/task{task}/checkpoint.pt"))


def write_plan(plan: Plan) -> None:
    """Write a plan file, as the workflow does."""
    targets.plan_file(plan).write(Path(PLAN))
