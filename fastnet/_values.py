"""How the tables' classes become values: equal by class and fields, frozen."""

from __future__ import annotations

from dataclasses import dataclass

#: Of a class without fields under a frozen dataclass: it inherits all but what freezes it. Made in half the time of a full
#: dataclass, of which an import makes many.
fieldless = dataclass(frozen=True, init=False, repr=False, eq=False)
