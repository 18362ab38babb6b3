"""How variants are named: aloud if short, by a hash otherwise."""

from cassle.runs import label_of


def test_long_variants_are_hashed_and_short_ones_read_aloud():
    assert label_of("simclr", {"temperature": 0.2, "epochs": 2}) == "simclr~epochs=2~temperature=0.2"
    long = label_of("simclr", {f"a_rather_long_key_{i}": i for i in range(4)})
    assert long.startswith("simclr~")
    assert len(long) == len("simclr~") + 10
