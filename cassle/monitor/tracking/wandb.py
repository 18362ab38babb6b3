"""Weights & Biases: a W&B run per task, grouped by run; ids follow from the results' paths.

``online`` shows curves while they are made. ``offline`` writes each training once it is complete, to
results/tracking/wandb, for `wandb sync` later.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cassle.contracts.layout import TaskFolder
from cassle.core.files import fingerprint, read_json, write_json
from cassle.monitor.tracking.ledger import Ledger
from cassle.monitor.tracking.lines import Tracked, TrackingError
from cassle.settings.site import WandbSettings


class WandbTracker:
    """Shows trainings on W&B. ``folder`` holds offline runs and the ledger; ``init`` is `wandb.init`."""

    def __init__(self, settings: WandbSettings, folder: Path, root: Path, init: Any = None) -> None:
        self.settings, self.folder, self.root = settings, folder, root
        self.ledger = Ledger(folder / "shown")
        self.init = init or _imported_init()
        self.open: dict[str, Any] = {}

    def show(self, training: Tracked) -> None:
        """Show what is new; `TrackingError` if W&B cannot be reached or refuses."""
        if self.ledger.is_complete(training) or not (training.complete or self.settings.mode == "online"):
            return
        with self._in_words():
            self._show(training)

    def show_tables(self, study: Path) -> None:
        """Show the tables and figures of a study in a W&B run of its own; `TrackingError` as `show`."""
        files = [*sorted(study.glob("tables/**/*.csv")), *sorted(study.glob("figures/**/*.png"))]
        seen = self.folder / "shown" / f"{fingerprint(study.name)}.json"
        made = {str(file.relative_to(study)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
        if not files or (seen.is_file() and read_json(seen) == made):
            return
        with self._in_words():
            run = self._begin(fingerprint(["study", study.name]), study.name, group=study.name, kind="tables")
            run.log({str(file.relative_to(study)): _media(file) for file in files})
            run.finish()
        write_json(seen, made)

    def close(self) -> None:
        """Finish the runs that are still open."""
        for run in self.open.values():
            run.finish()
        self.open.clear()

    def _show(self, training: Tracked) -> None:
        shown = self.ledger.entry(training)
        name = fingerprint([training.folder, shown.generation])
        if name not in self.open:
            self._drop_partial(name, shown.places)
            self.open[name] = self._begin(name, training.task, training.run, "train")
        run = self.open[name]
        first = run.step if shown.checkpoint is None else len(training.lines)
        for step, line in enumerate(training.lines[first:], first):
            run.log(line.model_dump(), step=step)
        if training.complete:
            self._complete(run, training)
            place = Path(run.dir).parent.name if self.settings.mode == "offline" else None
            del self.open[name]
            run.finish()
            self.ledger.finish(training, place)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # wandb raises what its server, service and network raise
            raise TrackingError(
                f"W&B ({self.settings.mode}): {type(error).__name__}: {error}; trainings are not concerned, and "
                "`cassle wandb` shows later what is missing"
            ) from error

    def _begin(self, identity: str, name: str, group: str, kind: str) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.settings
        return self.init(
            id=identity,
            name=name,
            group=group,
            job_type=kind,
            entity=settings.entity,
            project=settings.project,
            mode=settings.mode,
            dir=str(self.folder),
            resume="allow" if settings.mode == "online" else None,
            reinit="create_new",
            settings={"silent": True, "console": "off", "disable_git": True, "x_disable_stats": True},
        )

    def _complete(self, run: Any, training: Tracked) -> None:
        assert training.record is not None
        run.config.update({"folder": training.folder, **training.record.as_json()}, allow_val_change=True)
        run.summary.update(training.summary())
        if self.settings.checkpoints:
            run.log_artifact(
                str(self.root / TaskFolder.parse(training.folder).checkpoint), name=f"checkpoint-{run.id}", type="model"
            )

    def _drop_partial(self, name: str, places: tuple[str, ...]) -> None:
        """Delete the offline files of a tracker that was killed while it wrote this training."""
        for folder in self.folder.glob(f"wandb/offline-run-*-{name}"):
            if folder.name not in places:
                shutil.rmtree(folder)


def _media(file: Path) -> Any:
    """Return a table or picture as W&B shows it."""
    import pandas as pd
    import wandb

    return wandb.Table(dataframe=pd.read_csv(file)) if file.suffix == ".csv" else wandb.Image(str(file))


def _imported_init() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise TrackingError(
            "wandb is not installed: `uv pip install 'cassle-workflow[wandb]'`, or set wandb: {mode: disabled}; "
            "trainings are not concerned"
        ) from error
    return wandb.init
