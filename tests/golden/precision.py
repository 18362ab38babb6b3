"""Tolerances of the comparisons with the reference numbers, per floating-point type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .files import Case


@dataclass(frozen=True)
class Precision:
    """``rtol`` and ``atol`` hold for single functions, ``of_scale`` for whole training steps."""

    name: str
    dtype: torch.dtype
    rtol: float
    atol: float
    of_scale: float

    def equal(self, actual: Any, expected: Any, what: str, rtol: float | None = None) -> None:
        """Assert |actual - expected| <= atol + rtol |expected|, entry by entry; another shape is a failure."""
        ours, theirs = _double(actual), _double(expected)
        rtol = self.rtol if rtol is None else max(rtol, self.rtol)
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=self.atol, msg=lambda text: f"{what}: {text}")

    def equal_on_scale(self, actual: Any, expected: Any, what: str) -> None:
        """Assert |actual - expected| <= of_scale max(largest |expected|, 0.1); another shape is a failure."""
        ours, theirs = _double(actual), _double(expected)
        assert ours.shape == theirs.shape, f"{what}: shape {tuple(ours.shape)} instead of {tuple(theirs.shape)}"
        scale = max(theirs.abs().max().item(), 0.1)
        distance = (ours - theirs).abs().max().item() / scale
        assert distance <= self.of_scale, f"{what}: off by {distance:.1e} of its scale {scale:.3g}"

    def expected(self, case: Case, key: str) -> Any:
        """Return the value recorded for this type, if there is one of its own, else that of float64."""
        own = f"{key}_f32"
        return case[own] if self.dtype == torch.float32 and own in case else case[key]

    def equal_gradients(self, output: Tensor, leaves: Mapping[str, Tensor], case: Case) -> None:
        """Compare d output / d leaf with every ``grad_<leaf>`` of a case; a stopped gradient is exactly zero."""
        assert set(case.under("grad_")) == set(leaves)
        found = torch.autograd.grad(output, list(leaves.values()), allow_unused=True)
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True):
            gradient = torch.zeros_like(leaf) if gradient is None else gradient
            self.equal(gradient, case[f"grad_{name}"], f"gradient of {name}")
            if name in case.meta["no_grad"]:
                assert not gradient.any(), f"a gradient reaches {name}"


FLOAT64 = Precision("float64", torch.float64, rtol=1e-9, atol=1e-10, of_scale=1e-9)
FLOAT32 = Precision("float32", torch.float32, rtol=1e-3, atol=1e-4, of_scale=1e-3)


def _double(value: Any) -> Tensor:
    return value.detach().double() if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
