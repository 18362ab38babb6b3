"""Words that the command line does not know."""

import pytest

from cassle.cli import main


def test_an_unknown_verb_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["trian"])
    assert ended.value.code == 2
    assert "trian" in capsys.readouterr().err
