"""The settings of a view (augmented crop) of an image."""

from __future__ import annotations

from pydantic import Field

from cassle.core.options import Area, Options, Range


class ViewSettings(Options):
    """One random view; the order is crop, color jitter, gray, blur, solarize, flip, rotation, normalize."""

    size: int = Field(gt=0, description="side of the view, pixels")
    scale: Area = Field((0.08, 1.0), description="area of the crop as a fraction of the image, smallest and largest")
    ratio: Range = Field((0.75, 1.3333333333333333), description="width over height of the crop, smallest and largest")
    jitter: float = Field(0.8, ge=0, le=1, description="probability of color jitter, its operations in a random order")
    brightness: float = Field(0.4, ge=0, description="factor drawn from 1 - this, at least 0, to 1 + this")
    contrast: float = Field(0.4, ge=0, description="factor drawn from 1 - this, at least 0, to 1 + this")
    saturation: float = Field(0.2, ge=0, description="factor drawn from 1 - this, at least 0, to 1 + this")
    hue: float = Field(0.1, ge=0, le=0.5, description="shift drawn from -this to this, in turns of the color circle")
    gray: float = Field(0.2, ge=0, le=1, description="probability of conversion to gray")
    blur: float = Field(0.0, ge=0, le=1, description="probability of a Gaussian blur")
    sigma: Range = Field((0.1, 2.0), description="standard deviation of the blur, pixels, smallest and largest")
    solarize: float = Field(0.0, ge=0, le=1, description="probability of inverting the pixels of 128 and above")
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    rotate: float = Field(0.0, ge=0, le=180, description="largest rotation in degrees, either way")
