"""VICReg: the loss, each of its terms, and gradients of both views."""

import pytest
import torch.nn.functional as F

from cassle.objectives.vicreg import covariance_term, variance_term, vicreg_loss

from .files import Row


@pytest.mark.golden(Row("vicreg", ("z1", "z2")))
def test_loss_terms_and_gradients_equal_the_reference(case, precision):
    leaves = {name: value.requires_grad_() for name, value in case.inputs(precision.dtype).items()}
    z1, z2 = leaves.values()
    precision.equal(F.mse_loss(z1, z2), case["sim"], "invariance")
    precision.equal(variance_term(z1) + variance_term(z2), case["var"], "variance")
    precision.equal(covariance_term(z1) + covariance_term(z2), case["cov"], "covariance")
    loss = vicreg_loss(z1, z2, *(case.hp[f"{term}_loss_weight"] for term in ("sim", "var", "cov")))
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, leaves, case)
