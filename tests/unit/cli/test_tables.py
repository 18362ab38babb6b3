"""Results become tables and figures by hand."""

from cassle.cli import main


def test_a_run_typed_by_hand_ends_in_a_table(here, capsys):
    assert main(["show", "results/studies/mine"]) == 0
    captured = capsys.readouterr().out
    assert "random network" in captured
    assert "cassle" in captured
    assert "figures/digits-domain2/knn/bars.pdf" in captured
