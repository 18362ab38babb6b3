"""The base of every typed group of settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """A strict, frozen group of settings: an unknown key is an error, every field has a description."""

    model_config = ConfigDict(extra="forbid", frozen=True)
