"""What a step costs on several machines, by the cost model of the guide on distributed training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """A network between machines: seconds that a message takes however short it is, and bits a second."""

    name: str
    latency: float
    bits: float

    def exchange(self, ranks: int, n_bytes: int) -> float:
        """Seconds in which `ranks` machines sum vectors of so many bytes: whole vectors along a tree, or pieces around a ring."""
        a, b, k = self.latency, 8 / self.bits, (ranks - 1).bit_length()
        return min(k * (a + n_bytes * b), 2 * k * a + 2 * (ranks - 1) / ranks * n_bytes * b)

    def step(self, compute: float, ranks: int, n_bytes: int) -> float:
        """Seconds of a step that one machine computes in `compute`."""
        return compute / ranks + self.exchange(ranks, n_bytes)


#: Of the imitated machines; how long a message takes is measured.
SHAPED = 1e9
LINKS = (Link("1 Gbit/s, 100 us", 100e-6, 1e9), Link("10 Gbit/s, 25 us", 25e-6, 1e10), Link("100 Gbit/s, 3 us", 3e-6, 1e11))
MACHINES = (2, 4, 8, 16, 32, 64)
