"""The runs of a plan that one job needs."""

from __future__ import annotations

from dataclasses import dataclass

from cassle.data.streams import Stream


@dataclass(frozen=True)
class Wanted:
    """The runs that a job belongs to; None: any. ``stream`` may be a joint one, and ``index`` is `Stream.index`."""

    stream: str | None = None
    index: str | None = None
    backbone: str | None = None
    objective: str | None = None
    seed: int | None = None
    runs: bool = True
    """Whether runs are wanted, or streams alone."""

    def has_stream(self, stream: Stream) -> bool:
        """Return whether a stream, or the joint stream of its data, is wanted."""
        names = {stream.name} if self.stream is None else {stream.name, joint_stream(stream).name}
        return self.stream in (None, *names) and self.index in (None, stream.index)


EVERYTHING = Wanted()


def joint_stream(stream: Stream) -> Stream:
    """Return the stream of one task that has all data of another."""
    return Stream.parse(f"{stream.dataset}-all", {stream.dataset: stream.data})
