"""Verbs for people: which study a plan is asked of."""

import pytest

from cassle.cli import main


@pytest.mark.parametrize(
    "words",
    [
        ["--configfile", "study.yaml", "seed=3", "offline=true"],
        ["--configfile", "study.yaml", "--config", "seed=3", "offline=true"],
        ["--config", "seed=3", "offline=true", "--configfile", "study.yaml"],
        ["offline=true", "--configfile", "study.yaml", "--config", "seed=3"],
        ["--configfile", "study.yaml", "seeds=3.yaml", "offline=true"],
    ],
)
def test_words_of_a_plan_are_told_from_files(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    for name in ("study.yaml", "seeds=3.yaml"):
        (tmp_path / name).touch()
    asked = []
    monkeypatch.setattr("cassle.cost.text.cost_of", lambda files, words, rate: asked.append((files, sorted(words))))
    assert main(["plan", *words]) == 0
    files = [word for word in words if word.endswith(".yaml")]
    assert asked == [(files, sorted(word for word in words if "=" in word and word not in files))]


def test_a_flag_is_written_out(capsys):
    with pytest.raises(SystemExit):
        main(["plan", "--tflop", "3"])
    assert "unrecognized arguments: --tflop" in capsys.readouterr().err
