"""Verbs for people: the study whose cost `cassle plan` prints."""

import pytest

from cassle.cli import main


@pytest.mark.parametrize(
    "arguments",
    [
        ["--configfile", "study.yaml", "seed=3", "offline=true"],
        ["--configfile", "study.yaml", "--config", "seed=3", "offline=true"],
        ["--config", "seed=3", "offline=true", "--configfile", "study.yaml"],
        ["offline=true", "--configfile", "study.yaml", "--config", "seed=3"],
        ["--configfile", "study.yaml", "seeds=3.yaml", "offline=true"],
    ],
)
def test_arguments_of_a_plan_are_reported_from_files(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    for name in ("study.yaml", "seeds=3.yaml"):
        (tmp_path / name).touch()
    planned = []
    monkeypatch.setattr(
        "cassle.cost.text.cost_of", lambda files, arguments, rate: planned.append((files, sorted(arguments)))
    )
    assert main(["plan", *arguments]) == 0
    files = [argument for argument in arguments if argument.endswith(".yaml")]
    assert planned == [(files, sorted(argument for argument in arguments if "=" in argument and argument not in files))]


def test_a_flag_is_written_out(capsys):
    with pytest.raises(SystemExit):
        main(["plan", "--tflop", "3"])
    assert "unrecognized arguments: --tflop" in capsys.readouterr().err
