"""Lightning, imported without the package of metrics that it loads and this project does not use.

torchmetrics imports torchvision's models, scipy.signal and matplotlib, about a quarter of the start-up of a training
job. A stand-in takes its place while Lightning is imported, and is gone afterwards.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from types import ModuleType

from torch import nn

__all__ = ["pl"]


def _stand_in() -> ModuleType:
    module = ModuleType("torchmetrics")
    module.__path__ = []
    module.__version__ = importlib.metadata.version("torchmetrics")  # type: ignore[attr-defined]
    module.Metric = type("Metric", (nn.Module,), {})  # type: ignore[attr-defined]
    module.MetricCollection = type("MetricCollection", (nn.Module,), {})  # type: ignore[attr-defined]
    return module


def import_lightning() -> ModuleType:
    """Return the package; where it does not get by with the stand-in, it is imported as usual."""
    if not {"torchmetrics", "pytorch_lightning"} & set(sys.modules):
        sys.modules["torchmetrics"] = _stand_in()
        try:
            return importlib.import_module("pytorch_lightning")
        except Exception:  # whatever a release asks of the real package
            for name in [n for n in sys.modules if n.split(".")[0] in ("pytorch_lightning", "lightning_fabric")]:
                del sys.modules[name]
        finally:
            del sys.modules["torchmetrics"]
    return importlib.import_module("pytorch_lightning")


import_lightning()

import pytorch_lightning as pl  # noqa: E402
