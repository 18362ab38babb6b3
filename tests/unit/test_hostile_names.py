"""Whatever settings call things by is refused at the dry run, or stays in the folder of results under a short name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from cassle.core.errors import SettingsError
from cassle.data.base import datasets
from cassle.plan import targets
from cassle.plan.request import Request, plan_study

GRID = {"streams": ["digits-domain2"], "objectives": ["simclr"], "strategies": ["cassle", "er"], "probes": ["knn"]}
NOWHERE = "nowhere/'a b'/$(touch pwned)"
HOSTILE = [
    *("..", "../../elsewhere", "/tmp/elsewhere", "-rf", "--help", "~root", "a/b", "a\\b", "{stream}", "%s", "*"),
    *("a b", " a", "", "\t", "it's", 'a"b', "`touch pwned`", "$(touch pwned)", "a;touch pwned", "a|b", "a&b", "<b>"),
    *("a\0b", "a\nb", "a\n", "caf\udce9", "größe", "x" * 300, "ü" * 200),
]
PLACES = {
    "name": lambda word: {"name": word},
    "streams": lambda word: {"streams": [word]},
    "scenario": lambda word: {"streams": [f"digits-{word}"]},
    "class_order": lambda word: {"streams": [{"name": "digits-class2", "class_order": word}]},
    "domain_order": lambda word: {"streams": [{"name": "digits-domain2", "domain_order": [word, "plain"]}]},
    "objectives": lambda word: {"objectives": [word]},
    "value of an objective": lambda word: {"objectives": [{"name": "simclr", "temperature": word}]},
    "key of an objective": lambda word: {"objectives": [{"name": "simclr", word: 1}]},
    "strategies": lambda word: {"strategies": [word]},
    "joined strategy": lambda word: {"strategies": [f"cassle+{word}"]},
    "value of a strategy": lambda word: {"strategies": [{"name": "cassle", "distillation": {"name": word}}]},
    "backbones": lambda word: {"backbones": [word]},
    "probes": lambda word: {"probes": [word]},
    "value of a probe": lambda word: {"probes": [{"name": "transfer", "to": word}]},
    "figures": lambda word: {"figures": [word]},
    "features": lambda word: {"features": [word]},
    "training.views": lambda word: {"training": {"views": word}},
    "name of a dataset": lambda word: {"data": {word: {"kind": "folder"}}},
    "word": lambda word: {"strategy": [word]},
    "plugins": lambda word: {"plugins": [f"{NOWHERE}/{word}"]},
    "recipes": lambda word: {"recipes": f"{NOWHERE}/{word}"},
    "studies": lambda word: {"studies": [f"{NOWHERE}/{word}"]},
    "first_checkpoint": lambda word: {"first_checkpoint": f"{NOWHERE}/{word}"},
}


@pytest.fixture(autouse=True, scope="module")
def declared_here_only():
    """Words that can be names of datasets are declared by their plans; they end with this file."""
    datasets.names()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "_entries", dict(datasets._entries))
        yield


def planned(word: str, place: str):
    """The plan of a study that calls something by a word, or None where that is refused."""
    try:
        return plan_study(Request({**GRID, **PLACES[place](word)}, []))
    except SettingsError:
        return None


@pytest.mark.parametrize("place", PLACES)
def test_a_name_that_is_none_of_ours_is_refused_at_the_dry_run(place):
    assert [word for word in HOSTILE if planned(word, place) is not None] == []


@effort(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(PLACES)), st.text(min_size=1, max_size=300))
def test_no_name_leads_out_of_the_results(place, word):
    if (plan := planned(word, place)) is None:
        return
    for file in [*targets.results(plan), *targets.tables(plan), *targets.figures(plan), *targets.pages(plan)]:
        first, *folders = file.split("/")
        assert first == "results"
        assert not {"", ".", ".."} & set(folders)
        assert max(len(name.encode()) for name in folders) < 200


@pytest.mark.parametrize("key", ["data_root", "data.folder.root"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/data/a\0b", "a path has no character NUL"),
        ("/data/caf\udce9", "a path has to be written in UTF-8"),
        (f"/data/{'ü' * 128}/x", "a name in a path has at most 255 bytes"),
    ],
)
def test_what_no_file_system_can_have_is_refused_by_key(key, path, message):
    given = {"data_root": path} if key == "data_root" else {"data": {"folder": {"root": path}}}
    with pytest.raises(SettingsError, match=f"(?s)'{key.rpartition('.')[2]}' = .*: {message}"):
        plan_study(Request({**GRID, **given}, []))


@pytest.mark.parametrize("key", ["project", "entity"])
@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "a\\b", "a?b", "50%", "a:b", "a\nb", "a\0b", "", "x" * 129])
def test_a_name_that_wandb_would_not_take_is_refused_at_the_dry_run(key, name):
    with pytest.raises(SettingsError, match=rf"'wandb\.{key}' = "):
        plan_study(Request({**GRID, "wandb": {"mode": "offline", key: name}}, []))


def test_many_probes_and_words_share_a_name_that_a_file_system_takes():
    probes = [{"name": "knn", "k": k, "features": "projector"} for k in range(1, 12)]
    plan = plan_study(Request({**GRID, "probes": probes}, []))
    other = plan_study(Request({**GRID, "probes": probes[::-1]}, []))
    assert {len(Path(file).name) for file in plan.probe} == {125}
    assert not plan.probe.keys() & other.probe.keys()
    words = {"stream": "digits-domain2", "objective": "simclr", "strategy": "cassle", "seed": list(range(60))}
    names = {plan_study(Request({**words, "seed": words["seed"][n:]}, [])).study.name for n in range(2)}
    assert len(names) == 2
    assert {len(name) for name in names} == {100}


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", float("inf"), 10**400])
def test_a_number_that_is_none_is_refused_by_key(value):
    with pytest.raises(SettingsError, match="objective simclr: 'temperature' = "):
        plan_study(Request({**GRID, "objectives": [{"name": "simclr", "temperature": value}]}, []))
    with pytest.raises(SettingsError, match=r"'optimizer\..*lr' = "):
        plan_study(Request({**GRID, "training": {"optimizer": {"lr": value}}}, []))
