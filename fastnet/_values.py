"""Makes the classes of the tables values: frozen, and equal if class and fields are."""

from __future__ import annotations

from dataclasses import dataclass

#: For a class without fields that derives from a frozen dataclass: it inherits everything except what freezes it. This takes half
#: the time of making a full dataclass, and an import makes many.
fieldless = dataclass(frozen=True, init=False, repr=False, eq=False)
