"""Copies the figures of a study into docs/images, small enough for a repository: `make gallery`."""

import sys
from pathlib import Path

from PIL import Image

SIDE, COLORS = 1100, 64
FIGURES = (
    "figures/*/linear_cached/results.png",
    "figures/*/linear_cached/accuracy_over_tasks.png",
    "figures/*/linear_cached/forgetting_against_accuracy.png",
    "figures/*/linear_cached/accuracy_matrix.png",
    "features/*/tsne.png",
    "features/*/cka.png",
    "timeline.png",
)


def main(study: Path, images: Path) -> None:
    """Write a small copy of each figure that the study has."""
    for file in (found for pattern in FIGURES for found in sorted(study.glob(pattern))):
        image = Image.open(file).convert("RGB")
        image.thumbnail((SIDE, SIDE))
        image.quantize(COLORS).save(images / file.name, optimize=True)
        print(images / file.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent / "images")
