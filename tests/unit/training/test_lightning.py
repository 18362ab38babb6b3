"""Lightning without its package of metrics: in processes of their own, since an import happens once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

REAL = """
import json, logging, sys, warnings
import torch
from torch import nn
warnings.filterwarnings("ignore")
from cassle.training.lightning import import_lightning, pl
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
left = sorted(name for name in sys.modules if name.split(".")[0] == "torchmetrics")


class Line(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return (self.line(x) - y).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


x = torch.linspace(-1, 1, 16)[:, None]
data = torch.utils.data.TensorDataset(x, 2 * x + 1)
loader = torch.utils.data.DataLoader(data, batch_size=16)
line = Line()
options = dict(logger=False, enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=False)
pl.Trainer(max_epochs=20, accelerator="cpu", **options).fit(line, loader)
loaded_by_training = sorted(name for name in sys.modules if name.split(".")[0] == "torchmetrics")

import torchmetrics
metric = torchmetrics.MeanMetric()
metric.update(torch.tensor([1.0, 3.0]))
print(json.dumps({
    "left": left,
    "slope": line.line.weight.item(),
    "offset": line.line.bias.item(),
    "loaded_by_training": loaded_by_training,
    "mean": metric.compute().item(),
    "file": torchmetrics.__file__,
    "again": import_lightning() is pl is sys.modules["pytorch_lightning"],
}))
"""

PRETENDED = """
import json, sys
before = json.loads(sys.argv[1])
for name in before:
    __import__(name)
found = {}
try:
    from cassle.training.lightning import pl
    found["metric"] = pl.Metric.__module__
    found["same"] = pl is sys.modules["pytorch_lightning"]
except BaseException as error:
    found["error"] = type(error).__name__
module = sys.modules.get("torchmetrics")
found["left"] = None if module is None else getattr(module, "PRETENDED", "stand-in")
if "pytorch_lightning" in sys.modules:
    found["fabric"] = sys.modules["pytorch_lightning"].fabric is sys.modules["lightning_fabric"]
import log
found["log"] = log.LINES
print(json.dumps(found))
"""

PACKAGES = {
    "log.py": "LINES = []\n",
    "torch/__init__.py": "",
    "torch/nn.py": "class Module:\n    pass\n",
    "torchmetrics/__init__.py": """
import log
log.LINES.append("torchmetrics")
PRETENDED = "own"
class Metric:
    higher_is_better = True
class MetricCollection:
    pass
""",
    "torchmetrics/functional.py": "",
    "lightning_fabric/__init__.py": "import log\nlog.LINES.append('lightning_fabric')\n",
}
"""Packages in the place of the real ones that load in no time and log that they are loaded."""


def python(script, *arguments, path=None):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*([path] if path else []), ROOT]))}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        cwd=path or ROOT,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def real():
    """What the installed packages do in a fresh process."""
    return python(REAL)


def test_the_stand_in_is_gone_after_the_import(real):
    assert real["left"] == []


def test_lightnings_trainer_trains(real):
    # Gradient descent on y = 2x + 1 with mean(x) = 0 and rate 0.5: the error of the offset is gone after one step, that
    # of the slope shrinks by 1 - mean(x^2) = 0.62 per step, and 0.62^20 is below 1e-4.
    assert real["slope"] == pytest.approx(2, abs=1e-3)
    assert real["offset"] == pytest.approx(1, abs=1e-3)


def test_training_does_not_load_the_package_of_metrics(real):
    assert real["loaded_by_training"] == []


def test_the_real_package_of_metrics_can_be_imported_afterwards(real):
    assert real["mean"] == 2.0
    assert Path(real["file"]).name == "__init__.py"


def test_a_second_import_gives_the_same_package(real):
    assert real["again"]


@pytest.fixture
def pretended(tmp_path):
    """Function from the text of a pretended pytorch_lightning to what happens when it is imported."""

    def run(lightning, already=()):
        for name, text in {**PACKAGES, "pytorch_lightning/__init__.py": lightning}.items():
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        return python(PRETENDED, json.dumps(already), path=tmp_path)

    return run


def lightning(needs):
    """A package that loads its fabric, then needs something of torchmetrics."""
    return f"""
import log
import lightning_fabric as fabric
{needs}
from torchmetrics import Metric, MetricCollection
log.LINES.append("pytorch_lightning")
class Held(Metric):
    pass
"""


def test_a_lightning_that_gets_by_with_the_stand_in_never_loads_the_package_of_metrics(pretended):
    found = pretended(lightning("import torchmetrics\nassert torchmetrics.__version__[0].isdigit()"))
    assert found["log"] == ["lightning_fabric", "pytorch_lightning"]
    assert found["metric"] != "torchmetrics"
    assert found["left"] is None


@pytest.mark.parametrize(
    "needs",
    [
        "import torchmetrics.functional",
        "from torchmetrics import functional",
        "import torchmetrics\ntorchmetrics.Metric.higher_is_better",
    ],
)
def test_a_lightning_that_needs_more_is_imported_as_usual_from_the_start(pretended, needs):
    found = pretended(lightning(needs))
    assert found["log"] == ["lightning_fabric", "lightning_fabric", "torchmetrics", "pytorch_lightning"]
    assert found["metric"] == "torchmetrics"
    assert found["left"] == "own"
    assert found["same"]
    assert found["fabric"]


def test_a_package_of_metrics_that_is_loaded_already_stays(pretended):
    found = pretended(lightning(""), already=["torchmetrics"])
    assert found["log"] == ["torchmetrics", "lightning_fabric", "pytorch_lightning"]
    assert found["metric"] == "torchmetrics"
    assert found["left"] == "own"


def test_a_lightning_that_is_loaded_already_stays(pretended):
    found = pretended(lightning(""), already=["pytorch_lightning"])
    assert found["log"].count("pytorch_lightning") == 1
    assert found["metric"] == "torchmetrics"


def test_a_lightning_that_cannot_be_imported_at_all_says_so_and_leaves_no_stand_in(pretended):
    found = pretended(lightning("import nowhere_to_be_found"))
    assert found["error"] == "ModuleNotFoundError"
    assert found["left"] != "stand-in"


def test_no_stand_in_stays_after_another_error(pretended):
    found = pretended(lightning("raise KeyboardInterrupt"))
    assert found["error"] == "KeyboardInterrupt"
    assert found["left"] is None
