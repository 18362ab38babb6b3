"""W-MSE: what whitening does and does not see, closed forms of the loss, and the groups it is taken in."""

import pytest
import torch

from cassle.core.errors import SettingsError
from cassle.core.options import Options, parse
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.wmse import WMSE, WMSESettings, draw_groups, mse_of_directions, whiten, wmse_loss
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs
from tests.unit.objectives.reads import CountReads

DIM, ROWS, SIZE = 4, 24, 12
SETTINGS = {"hidden_dim": 6, "output_dim": DIM, "whitening_size": SIZE, "whitening_iters": 2}
ONE = torch.arange(ROWS).view(1, 1, ROWS)
"""All rows as one group, once."""


def rows(seed=0, n=ROWS, dim=DIM):
    return torch.randn(n, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(value, expected):
    torch.testing.assert_close(value, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def batch_of(n=ROWS, seed=0):
    index, none = torch.arange(n), torch.zeros(n, dtype=torch.bool)
    return Batch(index, torch.zeros(n, 3, 8, 8), index, 0, none, torch.Generator().manual_seed(seed))


def made(**changes):
    settings = parse(WMSESettings, {**SETTINGS, **changes}, "test")
    return WMSE(settings, Conv3Narrow(8, Options()), 10)


def test_whitened_rows_have_mean_0_and_covariance_1():
    white = whiten(rows() @ rows(1, DIM) + 5)
    close(white.mean(dim=0), torch.zeros(DIM))
    close(white.T.cov(), torch.eye(DIM))


def test_groups_are_whitened_each_by_itself():
    stacked = torch.stack([rows(seed) * (seed + 1) for seed in range(6)]).view(2, 3, ROWS, DIM)
    white = whiten(stacked)
    for i in range(2):
        for j in range(3):
            close(white[i, j], whiten(stacked[i, j]))


def test_whitening_does_not_see_shift_scale_or_a_lower_triangular_map():
    x, lower = rows(), rows(1, DIM).tril()
    lower.diagonal().abs_().add_(0.5)
    close(whiten(7 * x - 3), whiten(x))
    close(whiten(x @ lower.T), whiten(x))


@pytest.mark.parametrize("eps", [0.1, 0.9])
def test_a_share_of_the_identity_lets_fewer_rows_than_features_be_whitened(eps):
    x = rows(n=3)
    white = whiten(x, eps)
    assert torch.isfinite(white).all()
    # Whitened rows have covariance L^-1 Cov L^-T.
    factor = torch.linalg.cholesky((1 - eps) * x.T.cov() + eps * torch.eye(DIM, dtype=torch.float64))
    close(factor @ white.T.cov() @ factor.T, x.T.cov())


def test_a_collapsed_batch_gives_nan_and_no_exception():
    assert not torch.isfinite(whiten(torch.ones(ROWS, DIM))).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_whitened_in_single(dtype):
    x = rows().to(dtype)
    white = whiten(x)
    assert white.dtype == torch.float32
    assert torch.equal(white, whiten(x.float()))


def test_autocast_does_not_reach_into_whitening():
    x = rows().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        white = whiten(x)
    assert torch.equal(white, whiten(x))


@pytest.mark.parametrize(("second", "distance"), [([2.0, 0.0], 0), ([0.0, 1.0], 2), ([-3.0, 0.0], 4)])
def test_the_distance_of_directions(second, distance):
    first = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    close(mse_of_directions(first, torch.tensor([second], dtype=torch.float64)), distance)


def test_identical_views_cost_nothing_and_opposite_ones_the_most():
    z = rows()
    close(wmse_loss([z, z], ONE, 0.0), 0)
    close(wmse_loss([z, 3 * z + 1, z], ONE, 0.0), 0)
    close(wmse_loss([z, -z], ONE, 0.0), 4)


def test_every_pair_of_views_counts_once():
    z = rows()
    # Of the three pairs two are opposite.
    close(wmse_loss([z, z, -z], ONE, 0.0), (0 + 4 + 4) / 3)


def test_the_loss_is_the_mean_over_iterations_and_groups_of_the_loss_of_each():
    z1, z2 = rows(), rows(1)
    groups = draw_groups(ROWS, SIZE, 3, torch.Generator().manual_seed(0))
    each = [mse_of_directions(whiten(z1[group]), whiten(z2[group])) for group in groups.flatten(0, 1)]
    close(wmse_loss([z1, z2], groups, 0.0), torch.stack(each).mean())


def test_order_of_rows_within_a_group_does_not_matter_but_pairing_does():
    z1, z2, order = rows(), rows() + 0.1 * rows(1), torch.randperm(ROWS)
    expected = wmse_loss([z1, z2], ONE, 0.0)
    close(wmse_loss([z1[order], z2[order]], ONE, 0.0), expected)
    close(wmse_loss([z1, z2], ONE[..., order], 0.0), expected)
    assert wmse_loss([z1, z2.roll(1, 0)], ONE, 0.0) > expected


@pytest.mark.parametrize("detached", [True, False])
def test_only_a_detached_second_view_gets_no_gradient(detached):
    views = [rows(seed).requires_grad_() for seed in range(3)]
    loss = wmse_loss(views, ONE, 0.0, detach_second=detached)
    found = torch.autograd.grad(loss, views, materialize_grads=True)
    assert [bool(gradient.any()) for gradient in found] == [True, True, not detached]


def test_groups_are_partitions_that_differ_between_iterations_and_follow_from_the_generator():
    groups = draw_groups(ROWS, SIZE, 3, torch.Generator().manual_seed(0))
    assert groups.shape == (3, 2, SIZE)
    assert all(torch.equal(partition.flatten().sort().values, torch.arange(ROWS)) for partition in groups)
    assert not torch.equal(groups[0], groups[1])
    assert torch.equal(groups, draw_groups(ROWS, SIZE, 3, torch.Generator().manual_seed(0)))
    assert not torch.equal(groups, draw_groups(ROWS, SIZE, 3, torch.Generator().manual_seed(1)))


def test_rows_that_fill_no_group_sit_out_in_turn():
    groups = draw_groups(13, 4, 400, torch.Generator().manual_seed(0))
    assert groups.shape == (400, 3, 4)
    used = [set(partition.flatten().tolist()) for partition in groups]
    assert {len(partition) for partition in used} == {12}
    assert set.union(*({*range(13)} - partition for partition in used)) == {*range(13)}


def test_a_batch_smaller_than_a_group_is_refused():
    with pytest.raises(SettingsError, match="whitens groups of 12 images, but its loss got 5; lower whitening_size"):
        made().loss(Outputs([], [rows(n=5), rows(1, n=5)]), batch_of(5))


def test_groups_too_small_to_be_whitened_are_refused_at_once():
    with pytest.raises(SettingsError, match="4 images cannot whiten 4 features: whitening_size must exceed output_dim"):
        made(whitening_size=DIM)
    assert made(whitening_size=DIM, whitening_eps=0.1).settings.whitening_size == DIM


def test_the_objective_draws_its_groups_from_the_batch():
    z = [rows(), rows(1), rows(2)]
    for seed in range(2):
        groups = draw_groups(ROWS, SIZE, 2, torch.Generator().manual_seed(seed))
        assert made().loss(Outputs([], z), batch_of(seed=seed)) == wmse_loss(z, groups, 0.0)
        detached = made(detach_second=True, whitening_eps=0.2)
        assert detached.loss(Outputs([], z), batch_of(seed=seed)) == wmse_loss(z, groups, 0.2, detach_second=True)


def test_a_step_never_waits_for_the_device():
    objective, backbone = made(), Conv3Narrow(8, Options())
    images = list(torch.randn(2, ROWS, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    with CountReads() as counter:
        objective.loss(objective(backbone, images), batch_of()).backward()
    assert counter.reads == 0
    assert objective.projector[0].weight.grad.isfinite().all()


def test_a_checkpoint_carries_the_projector_and_nothing_else():
    objective, other, features = made().eval(), made().eval(), torch.randn(3, 32)
    other.load_state_dict(objective.state_dict(), strict=True)
    assert {name.split(".")[0] for name in objective.state_dict()} == {"projector"}
    assert torch.equal(other.project(features), objective.project(features))
