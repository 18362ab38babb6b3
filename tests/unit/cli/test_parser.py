"""Words that the command line does not know."""

import pytest

from cassle.cli import main
from cassle.cli.parser import build_parser


def test_an_unknown_verb_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["trian"])
    assert ended.value.code == 2
    assert "trian" in capsys.readouterr().err


def test_verbs_for_people_come_before_those_of_the_workflow_and_only_the_latter_are_jobs():
    parser = build_parser()
    [verbs] = [action.choices for action in parser._actions if action.choices]
    jobs = [verb.get_default("job") for verb in verbs.values()]
    assert jobs == sorted(jobs)
    of_people = {"plan", "status", "show", "export", "bench", "wandb", "tensorboard", "schema"}
    assert {name for name, verb in verbs.items() if not verb.get_default("job")} == of_people
