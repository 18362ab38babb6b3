"""DomainNet as its official lists describe it."""

import re

import pytest

from cassle.core.errors import DataError, SettingsError
from cassle.data.base import datasets
from cassle.data.datasets.domainnet import CLASSES, DOMAINS, read_list
from cassle.data.splits import split
from cassle.data.streams import Stream
from tests.unit.data.images import write

NAMES = [f"class {label:03d}" for label in range(CLASSES)]


def domainnet(**settings):
    return datasets.get("domainnet")(**settings)


def build(top, domains):
    """Write lists of one image per class and domain; classes from 5 on share a file, which costs less time."""
    for domain in domains:
        write(top / domain / "shared.png")
        lines = []
        for label, name in enumerate(NAMES):
            path = f"{domain}/{name}/{domain}_{label:03d}_000001.jpg"
            (top / domain / name).mkdir()
            if label < 5:
                write(top / path)
            else:
                (top / path).symlink_to("../shared.png")
            lines.append(f"{path} {label}")
        (top / f"{domain}_train.txt").write_text("\n".join(lines) + "\n")
        (top / f"{domain}_test.txt").write_text("\n".join(lines[:3]) + "\n")
    return top


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two of the six domains."""
    return build(tmp_path_factory.mktemp("data") / "domainnet", ["real", "sketch"])


def test_domains_are_tasks_in_the_order_of_the_release():
    assert Stream.parse("domainnet-domain").tasks == 6
    assert domainnet().domains == ("real", "quickdraw", "painting", "sketch", "infograph", "clipart")


def test_lists_say_path_label_and_domain(two):
    index = domainnet(domains=["sketch", "real"]).index(two.parent)
    assert index.domains == ("sketch", "real")
    assert index.classes == tuple(NAMES)
    assert index.train.labels.tolist() == 2 * list(range(CLASSES))
    assert index.train.domains.tolist() == [0] * CLASSES + [1] * CLASSES
    assert index.test.paths == tuple(
        f"{domain}/{NAMES[label]}/{domain}_{label:03d}_000001.jpg"
        for domain in ("sketch", "real")
        for label in range(3)
    )
    assert "**342 classes have no test image**" in index.notes
    assert "**6 test images are training images too**" in index.notes


def test_a_domain_that_is_not_there_is_named_with_what_to_do(two):
    with pytest.raises(DataError) as error:
        domainnet().index(two.parent)
    assert f"cannot read {two}/quickdraw_train.txt" in str(error.value)
    assert "name the domains you have with data: {domainnet: {domains: [...]}}" in str(error.value)


def test_domains_that_are_there_are_part_of_the_identity(two):
    own = {"domainnet": {"domains": ["sketch", "real"]}}
    stream = Stream.parse("domainnet-domain", own)
    assert (stream.tasks, stream.name.split("~")[0]) == (2, "domainnet-domain2")
    assert stream.name != Stream.parse("domainnet-domain2").name
    assert split(stream, domainnet(**own["domainnet"]).index(two.parent)).names == ["sketch", "real"]
    with pytest.raises(SettingsError, match="domainnet has 2 domains: sketch, real"):
        Stream.parse("domainnet-domain3", own)


@pytest.mark.parametrize("line", ["real/a/1.jpg", "real/a/1.jpg x", "real/a/1.jpg -1", "real/a/1.jpg 345", " 3"])
def test_a_line_that_is_none_is_named(tmp_path, line):
    (tmp_path / "list.txt").write_text(f"real/with space/1.jpg 7\n\n{line}\n")
    with pytest.raises(DataError, match=re.escape(f"{tmp_path}/list.txt, line 3: '{line}' should be")):
        read_list(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("real/with space/1.jpg 7\n\n")
    assert read_list(tmp_path / "list.txt") == [("real/with space/1.jpg", 7)]


def test_lists_that_contradict_each_other_or_lack_classes_are_refused(two, tmp_path):
    names = [file.name for file in two.glob("*.txt")]
    for name in names:
        (tmp_path / name).write_text((two / name).read_text())
    dataset = domainnet(root=str(tmp_path), domains=["real", "sketch"])
    (tmp_path / "sketch_test.txt").write_text(f"sketch/{NAMES[4]}/1.jpg 5\n")
    with pytest.raises(DataError, match=r"label 5 is 'class 005' and 'class 004' in sketch_test\.txt"):
        dataset.index(None)
    for name in names:
        (tmp_path / name).write_text(f"real/{NAMES[4]}/1.jpg 4\n")
    with pytest.raises(DataError, match="name 1 of 345 classes; get them again, complete"):
        dataset.index(None)


def test_a_listed_image_that_is_not_there_is_a_bad_image(two, tmp_path):
    for name in ("real_train.txt", "real_test.txt"):
        (tmp_path / name).write_text((two / name).read_text())
    (tmp_path / "real").symlink_to(two / "real")
    with (tmp_path / "real_train.txt").open("a") as file:
        file.write(f"real/{NAMES[0]}/missing.jpg 0\n")
    with pytest.raises(DataError, match=r"domainnet has 1 images that cannot be used:\n.*missing.jpg does not exist"):
        domainnet(root=str(tmp_path), domains=["real"]).index(None)


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        (["reel"], "there is no domain 'reel': did you mean 'real'?"),
        (["real", "real"], "name each domain once"),
        ([], "domains"),
    ],
)
def test_impossible_domains_are_refused(domains, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        domainnet(domains=domains)


def test_the_original_normalizes_red_with_another_width():
    assert domainnet().std[0] == 0.229
    assert domainnet(statistics="original").std == (0.228, 0.224, 0.225)
    assert len(DOMAINS) == 6
