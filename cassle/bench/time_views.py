"""Throughput of views: the PIL transforms of the original release, those of torchvision, and batched views."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image, ImageFilter, ImageOps
from torchvision import transforms

from cassle.bench.base import as_text, begin, rate, result, seconds_per_call
from cassle.bench.workload import RecipeSettings, pictures, specs
from cassle.core.random import generator
from cassle.data.loaders.torchvision import transform
from cassle.data.view_settings import ViewSettings
from cassle.data.views import Views
from cassle.runtime.allocator import keep_freed_memory
from cassle.settings.site import Site
from cassle.tensors.batch import Batch

__all__ = ["BenchSettings", "as_text", "measure"]


class BenchSettings(RecipeSettings):
    """Views of a recipe, from decoded images."""


def measure(settings: BenchSettings, site: Site) -> dict[str, Any]:
    """Return crops per second of every way to make all views of a batch, decoding apart."""
    device = begin(site)
    keep_freed_memory()
    training, facts = specs(settings.words())[0].training, settings.facts()
    count, views = training.batch_size, Views(training.views, facts.mean, facts.std)
    images = pictures(count, *settings.image_size())
    on_device = images.to(device)
    some = images[: max(1, count // 8)]
    opened = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in some]
    chains = [pil_chain(view, facts.mean, facts.std) for view in training.views]
    plain = [transform(view) for view in training.views]
    index = torch.arange(count, device=device)

    def batched() -> None:
        views(Batch(index, on_device, index, 0, index < 0, generator(0, "bench", device=device)))

    cases = {
        "PIL, as the original": lambda: [chain(image) for chain in chains for image in opened],
        "torchvision on tensors": lambda: [chain(image) for chain in plain for image in some],
        f"batched on {device.type}": batched,
    }
    times = seconds_per_call(cases, device, settings.rounds)
    crops = {name: len(training.views) * (count if name.startswith("batched") else len(some)) for name in cases}
    rows = [rate(name, times[name], crops[name], "crops") for name in cases]
    for row in rows:
        row["times PIL"] = row["median"] / rows[0]["median"]
    return result("views", settings, site, device, rows)


def pil_chain(settings: ViewSettings, mean: tuple[float, ...], std: tuple[float, ...]) -> Any:
    """Return the chain of the original release for a Pillow image, in its order of operations."""
    jitter = transforms.ColorJitter(settings.brightness, settings.contrast, settings.saturation, settings.hue)
    bicubic = transforms.InterpolationMode.BICUBIC
    low, high = settings.sigma

    def blur(image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.GaussianBlur(low + (high - low) * float(torch.rand(()))))

    return transforms.Compose(
        [
            transforms.RandomResizedCrop(settings.size, settings.scale, settings.ratio, interpolation=bicubic),
            transforms.RandomApply([jitter], p=settings.jitter),
            transforms.RandomGrayscale(p=settings.gray),
            transforms.RandomApply([blur], p=settings.blur),
            transforms.RandomApply([ImageOps.solarize], p=settings.solarize),
            transforms.RandomHorizontalFlip(p=settings.flip),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
