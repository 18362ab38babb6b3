"""The k-NN classifier and top-k accuracies."""

from itertools import product

import pytest

from cassle.evaluation.metrics import top_k_accuracy
from cassle.evaluation.probes.knn import KNN, knn_scores
from tests.unit.evaluation.made import evaluation

from .files import Row, as_dtype

PERCENT = 1e-5
"""Accuracies of the reference went through single precision."""


@pytest.mark.golden(Row("knn"))
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_knn_scores_equal_the_reference(case, precision, distance):
    hp = case.hp
    train, test = (as_dtype(case[f"{part}_features"], precision.dtype) for part in ("train", "test"))
    for k in hp["ks"]:
        scores = knn_scores(train, case["train_targets"], test, hp["C"], k, distance, hp["T"], hp["epsilon"])
        precision.equal(scores, case[f"score_{distance}_k{k}"], f"scores, k = {k}", rtol=1e-8)


@pytest.mark.golden(Row("knn"))
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_knn_predictions_and_accuracies_equal_the_reference(case, distance):
    hp, labels = case.hp, case["test_targets"]
    for k in hp["ks"]:
        data = case["train_features"], case["train_targets"], case["test_features"]
        scores = knn_scores(*data, hp["C"], k, distance, hp["T"], hp["epsilon"])
        name = f"{distance}_k{k}"
        assert scores.argmax(dim=1).tolist() == case[f"pred_{name}"].tolist()
        assert 100 * top_k_accuracy(scores, labels) == pytest.approx(case[f"top1_{name}"], abs=PERCENT)
        top5 = 100 * top_k_accuracy(scores, labels, min(5, k, hp["C"]))
        assert case[f"top5_low_{name}"] - PERCENT <= top5 <= case[f"top5_high_{name}"] + PERCENT


@pytest.mark.golden(Row("knn"))
def test_knn_probe_predicts_as_the_reference(case):
    hp = case.hp
    distances = ["cosine", "euclidean"] if hp["unit_norm"] else ["euclidean"]  # the probe normalizes for cosine
    for distance, k in product(distances, hp["ks"]):
        probe = KNN(k=k, distance=distance, temperature=hp["T"], epsilon=hp["epsilon"])
        data = case["train_features"], case["train_targets"], case["test_features"]
        assert probe.scores(evaluation(*data, hp["C"])).argmax(dim=1).tolist() == case[f"pred_{distance}_k{k}"].tolist()


@pytest.mark.golden(Row("metrics", ("logits", "targets")))
def test_top_k_accuracies_equal_the_reference(case):
    found = [100 * top_k_accuracy(case["logits"], case["targets"], k) for k in case.hp["top_k"]]
    assert found == pytest.approx(case["acc"].tolist(), abs=PERCENT)
