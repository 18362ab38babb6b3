"""How variants are named: aloud if short, by a hash otherwise."""

import pytest

from cassle.plan.labels import label_of, shown_name


def test_long_variants_are_hashed_and_short_ones_read_aloud():
    assert label_of("simclr", {"temperature": 0.2, "epochs": 2}) == "simclr~epochs=2~temperature=0.2"
    long = label_of("simclr", {f"a_rather_long_key_{i}": i for i in range(4)})
    assert long.startswith("simclr~")
    assert len(long) == len("simclr~") + 10


def test_long_variants_of_other_values_have_other_names():
    long = {f"a_rather_long_key_{i}": i for i in range(4)}
    assert label_of("simclr", long) == label_of("simclr", dict(reversed(long.items())))
    assert label_of("simclr", long) != label_of("simclr", {**long, "a_rather_long_key_0": 5})


@pytest.mark.parametrize(
    ("changes", "explicit", "shown"),
    [
        ({}, {"weight": 1}, "cassle"),
        ({"distillation.depth": 0, "weight": 2.0}, {}, "cassle (depth=0, weight=2)"),
        ({"lr": 1e-4, "blur": None, "stages": [0, 2]}, {}, "cassle (lr=0.0001, blur=null, stages=[0,2])"),
        ({"views.0.blur": 0.5, "views.1.blur": 0.5}, {}, "cassle (views.0.blur=0.5, views.1.blur=0.5)"),
        (
            {"distillation.name": "mse", "distillation.depth": 2},
            {"distillation": {"name": "mse"}},
            "cassle (distillation=mse)",
        ),
        (
            {
                "distillation.depth": 3,
                "distillation.name": "mse",
                "distillation.temperature": None,
                "space": "features",
            },
            {"distillation": {"name": "mse", "depth": 3}},
            "cassle (depth=3, distillation=mse, space=features)",
        ),
        ({f"a_rather_long_key_{i}": i for i in range(4)}, {}, None),
    ],
)
def test_tables_call_a_variant_by_the_settings_that_differ(changes, explicit, shown):
    assert shown_name("cassle", changes, explicit) == shown
