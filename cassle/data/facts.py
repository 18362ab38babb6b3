"""Facts of the published streams: pixel statistics and class orders."""

from __future__ import annotations

from typing import Literal

Statistics = Literal["usual", "original"]
"""usual: the data set's own; original: what the release normalised with."""
Channels = tuple[float, float, float]

CIFAR10_USUAL: tuple[Channels, Channels] = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
CIFAR100_USUAL: tuple[Channels, Channels] = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
CIFAR_ORIGINAL: tuple[Channels, Channels] = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)
IMAGENET_USUAL: tuple[Channels, Channels] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET_ORIGINAL: tuple[Channels, Channels] = (0.485, 0.456, 0.406), (0.228, 0.224, 0.225)

# The first permutations that torch draws on the CPU with seed 5, as the release draws them.
PAPER_ORDER_10 = (1, 4, 9, 6, 3, 5, 0, 2, 8, 7)
# fmt: off
PAPER_ORDER_100 = (
    11, 22, 39, 23, 42, 30, 78, 81, 64, 20, 29, 79, 15, 69, 86, 63, 55, 53, 73, 68, 89, 67, 58, 97, 96, 92, 37, 14, 75,
    51, 54, 7, 3, 6, 50, 40, 45, 4, 83, 98, 27, 12, 8, 99, 60, 87, 28, 5, 84, 34, 82, 16, 72, 49, 59, 31, 71, 35, 66,
    76, 61, 17, 36, 62, 13, 2, 38, 94, 80, 19, 25, 18, 0, 1, 46, 74, 85, 91, 52, 77, 21, 33, 32, 88, 93, 70, 44, 47, 26,
    57, 90, 95, 48, 65, 43, 10, 9, 56, 24, 41,
)
# fmt: on
