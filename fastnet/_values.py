"""Makes the classes of the tables values: frozen, and equal if class and fields are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

from fastnet._hints import takes_other_words

T = TypeVar("T")

#: For a class without fields that derives from a frozen dataclass: it inherits everything except what freezes it. This takes half
#: the time of making a full dataclass, and an import makes many.
fieldless = dataclass(frozen=True, init=False, repr=False, eq=False)


@dataclass_transform(frozen_default=True)
def frozen(cls: type[T]) -> type[T]:
    """A frozen dataclass, whose constructor knows the names that arguments have elsewhere."""
    cls = dataclass(frozen=True)(cls)
    cls.__init__ = takes_other_words()(cls.__init__)  # type: ignore[method-assign]
    return cls
