"""How the tables' classes become values: equal by class and fields, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

from fastnet._hints import takes_other_words

T = TypeVar("T")

#: Of a class without fields under a frozen dataclass: it inherits all but what freezes it. Made in half the time of a full
#: dataclass, of which an import makes many.
fieldless = dataclass(frozen=True, init=False, repr=False, eq=False)


@dataclass_transform(frozen_default=True)
def frozen(cls: type[T]) -> type[T]:
    """A frozen dataclass, whose constructor knows the names that arguments have elsewhere."""
    cls = dataclass(frozen=True)(cls)
    cls.__init__ = takes_other_words()(cls.__init__)  # type: ignore[method-assign]
    return cls
