"""Substitutes for the paper's datasets in their published layouts, with a few dozen images each."""

from pathlib import Path

from cassle.data.datasets.cifar import CIFAR10, CIFAR100
from cassle.data.datasets.domainnet import DOMAINS
from cassle.data.facts import IMAGENET100_WNIDS
from tests.unit.data.datasets import test_cifar, test_domainnet, test_imagenet100

TESTED = 12
"""Test images of a domain."""


def build(root: Path) -> Path:
    """Write CIFAR's pickles, a full ImageNet, and DomainNet with its lists; return the root."""
    for kind in (CIFAR10, CIFAR100):
        test_cifar.build(root, kind)
    test_imagenet100.build(root / "imagenet", [*IMAGENET100_WNIDS, *test_imagenet100.WNIDS[:3]])
    (root / "domainnet").mkdir()
    test_domainnet.build(root / "domainnet", DOMAINS)
    _share_classes(root / "domainnet")
    return root


def _share_classes(folder: Path) -> None:
    """Shorten DomainNet's lists: each domain keeps some classes, and the domains together keep all of them."""
    for place, domain in enumerate(DOMAINS):
        file = folder / f"{domain}_train.txt"
        own = file.read_text().splitlines()[place :: len(DOMAINS)]
        file.write_text("\n".join(own))
        (folder / f"{domain}_test.txt").write_text("\n".join(own[:TESTED]))
