"""Specifications: the digest names all of their content and nothing else."""

from cassle.contracts.specs import TrainSpec
from tests.unit.specs import changed, train_specs


def spec() -> TrainSpec:
    return train_specs(stream="digits-domain2", objective="simclr", strategy="cassle", backbone="conv3-narrow")[1]


def test_equal_specifications_have_equal_digests_and_others_have_others():
    digests = [spec().digest, spec().digest, changed(spec(), seed=1).digest, changed(spec(), strategy=None).digest]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_a_changed_copy_of_a_specification_has_a_digest_of_its_own():
    one = spec()
    assert one.digest != one.model_copy(update={"seed": 1}).digest == changed(one, seed=1).digest


def test_a_specification_is_made_of_the_fields_of_another_whether_or_not_its_digest_is_known():
    one = spec()
    assert one.digest == TrainSpec(**dict(one)).digest
    assert TrainSpec(**dict(one)) == one
