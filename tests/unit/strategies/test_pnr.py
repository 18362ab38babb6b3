"""PNR: each loss gets the other model's embeddings as negatives."""

import math

import pytest
import torch
import torch.nn.functional as F

from cassle.core.errors import SettingsError
from cassle.objectives.barlow_twins import BarlowTwins, BarlowTwinsSettings
from cassle.objectives.base import objectives
from cassle.objectives.byol import BYOL, BYOLSettings
from cassle.objectives.mocov2plus import MoCoV2Plus, MoCoV2PlusSettings, moco_loss
from cassle.objectives.simclr import SimCLR, simclr_loss
from cassle.objectives.vicreg import VICReg, VICRegSettings
from cassle.strategies.cassle import Cassle, CassleSettings
from cassle.strategies.pnr import PNR, PNRSettings, contrastive_negatives, log_denominators, others, swapped_negatives

KINDS = {
    "byol": (BYOL, BYOLSettings(hidden_dim=8, output_dim=4, pred_hidden_dim=6)),
    "barlow_twins": (BarlowTwins, BarlowTwinsSettings(hidden_dim=8, output_dim=4)),
    "vicreg": (VICReg, VICRegSettings(hidden_dim=8, output_dim=4)),
    "mocov2plus": (MoCoV2Plus, MoCoV2PlusSettings(hidden_dim=8, output_dim=4, queue_size=10)),
}


def views(seed, count=2):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 4, generator=draw, dtype=torch.double) for _ in range(count)]


def unit(parts):
    return F.normalize(torch.cat(parts), dim=1)


def info_nce(positives, negatives):
    """-log of exp(positive) over it and the exp of all negatives, averaged over rows; plain loops."""
    losses = []
    for positive, row in zip(positives, negatives, strict=True):
        losses.append(-positive + math.log(math.exp(positive) + sum(math.exp(score) for score in row)))
    return sum(losses) / len(losses)


def test_the_extra_term_gives_both_losses_the_other_models_embeddings_as_negatives():
    z, p, frozen, t, td = views(0), views(1), views(2), 0.5, 0.2
    z_, p_, f_ = unit(z), unit(p), unit(frozen)
    m = len(z_)
    pairs = [i + 3 if i < 3 else i - 3 for i in range(m)]
    apart = [[j for j in range(m) if j != i] for i in range(m)]
    plasticity = info_nce(
        [(z_[i] @ z_[pairs[i]] / t).item() for i in range(m)],
        [
            [(z_[i] @ z_[j] / t).item() for j in apart[i] if j != pairs[i]]
            + [(z_[i] @ f_[j] / t).item() for j in apart[i]]
            for i in range(m)
        ],
    )
    stability = info_nce(
        [(p_[i] @ f_[i] / td).item() for i in range(m)],
        [
            [(p_[i] @ f_[j] / td).item() for j in apart[i]] + [(p_[i] @ z_[j] / td).item() for j in apart[i]]
            for i in range(m)
        ],
    )
    without = simclr_loss(*z, t) + F.cross_entropy(p_ @ f_.T / td, torch.arange(m))
    extra = contrastive_negatives(z, p, frozen, others(z_, z_, t), t, td)
    assert (without + extra).item() == pytest.approx(plasticity + stability, rel=1e-10)


def test_swapped_negatives_by_hand():
    one, two = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    # p_1 against zbar_2 and p_2 against zbar_1: same direction, then a right angle apart
    assert swapped_negatives("predictive", [one, two], [two, one]).item() == pytest.approx(0)
    assert swapped_negatives("predictive", [one, two], [one, two]).item() == pytest.approx(-2)
    assert swapped_negatives("decorrelative", [one, two], [two, one]).item() == pytest.approx(1)
    assert swapped_negatives("decorrelative", [one, two], [one, two]).item() == pytest.approx(0)
    assert swapped_negatives("mse", [one, two], [one, one]).item() == pytest.approx(-(1 + 0) / 2)


@pytest.fixture
def pair(model, model_of, step_of, teacher_of):
    """Function from an objective to a step of it with a teacher, and a function that builds strategies for it."""

    def make(name):
        chosen = model if name == "simclr" else model_of(*KINDS[name])
        step = step_of(chosen, teacher_of(chosen))

        def build(kind, parse, **given):
            torch.manual_seed(0)
            form = {"depth": 0}
            return kind(parse(**kind.resolve({"distillation": form, **given}, type(chosen.objective))), chosen)

        return step, build

    return make


@pytest.mark.parametrize("name", ["simclr", *KINDS])
def test_it_is_cassle_plus_a_weighted_term(pair, name):
    step, build = pair(name)
    cassle = build(Cassle, CassleSettings).penalty(step)
    strategies = [build(PNR, PNRSettings, negative_weight=weight) for weight in (0.0, 1.0, 3.0)]
    alone, once, thrice = (strategy.penalty(step) for strategy in strategies)
    torch.testing.assert_close(alone, cassle)
    torch.testing.assert_close(thrice - alone, 3 * (once - alone))
    assert (once - alone).abs() > 1e-3


def test_the_denominator_of_moco_is_that_of_its_loss(pair):
    step, _ = pair("mocov2plus")
    objective, outputs = step.model.objective, step.outputs
    (q1, q2), (k1, k2) = ([F.normalize(z, dim=1) for z in part] for part in (outputs.z, outputs.targets))
    positives = torch.cat([(q1 * k2).sum(1), (q2 * k1).sum(1)]) / 0.1
    queue1, queue2 = objective.queue
    losses = (moco_loss(q1, k2, queue2, 0.1) + moco_loss(q2, k1, queue1, 0.1)) / 2
    torch.testing.assert_close((log_denominators(objective, outputs) - positives).mean(), losses)


@pytest.mark.parametrize(
    ("name", "weight"), [("simclr", 1.0), ("mocov2plus", 1.0), ("byol", 0.5), ("barlow_twins", 1.0), ("vicreg", 23.0)]
)
def test_the_weight_is_the_authors(name, weight):
    assert PNR.resolve({}, objectives.get(name))["negative_weight"] == weight
    assert PNR.resolve({"negative_weight": 0.0}, objectives.get(name))["negative_weight"] == 0


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("swav", {}, "no pseudo-negatives for distillation 'prototypes'"),
        ("supcon", {}, "SupCon has no InfoNCE"),
        ("nnclr", {}, "NNCLR has no InfoNCE"),
        ("byol", {"space": "features"}, "works on projections"),
        ("byol", {"negative_wieght": 1}, "strategy pnr: unknown key 'negative_wieght'"),
    ],
)
def test_where_it_is_not_defined_it_is_refused(name, given, message):
    with pytest.raises(SettingsError, match=message):
        PNR.resolve(given, objectives.get(name))


def test_it_does_nothing_in_the_first_task(model, step_of):
    strategy = PNR(PNRSettings(**PNR.resolve({}, SimCLR)), model)
    assert strategy.penalty(step_of(model)) is None
