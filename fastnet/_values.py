"""Makes classes of fields: those of the tables are values, frozen, and equal if class and fields are."""

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
    return _with_other_words(dataclass(frozen=True)(cls))


@dataclass_transform(kw_only_default=True, eq_default=False)
def options(cls: type[T]) -> type[T]:
    """A dataclass of options, given by name alone, whose constructor knows the names that they have elsewhere."""
    return _with_other_words(dataclass(kw_only=True, eq=False, repr=False)(cls))


def _with_other_words(cls: type[T]) -> type[T]:
    cls.__init__ = takes_other_words()(cls.__init__)  # type: ignore[method-assign]
    return cls
