"""The compiled core: `core` is the module compiled for the best level of vector instructions this machine has.

x86-64 has the levels v2, v3 and v4, other processors `baseline` (which also stands in for v2 with MSVC). `FASTNET_CPU` takes
another one, for tests and comparisons. A level above the machine's is refused: its first instruction would end the process.
"""

from __future__ import annotations

import importlib
import os
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnet._core import baseline as core

level: str
#: NumPy's names for the instructions that each level needs, best level last.
NEEDS: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "v2": ("SSE42", "POPCNT"),
    "v3": ("AVX2", "FMA3"),
    "v4": ("AVX512_SKX",),
}


def supported_levels() -> tuple[str, ...]:
    """The levels that were built and that this machine can run, best last."""
    features = _cpu_features()
    return tuple(level for level in _built_levels() if all(features.get(name, False) for name in NEEDS[level]))


def _built_levels() -> tuple[str, ...]:
    names = os.listdir(os.path.dirname(__file__))
    built = {name.split(".")[0] for name in names if name.endswith(tuple(EXTENSION_SUFFIXES))}
    return tuple(level for level in NEEDS if level in built)


def _cpu_features() -> dict[str, bool]:
    """What NumPy found when it was imported: it reads cpuid and the operating system's consent to wide registers."""
    from numpy._core._multiarray_umath import __cpu_features__  # type: ignore[import-not-found]

    return __cpu_features__


def _choose() -> tuple[str, ModuleType]:
    levels = supported_levels()
    if not levels and (built := _built_levels()):
        raise ImportError(
            f"fastnet's compiled core is built for the x86-64 levels {', '.join(built)}, and this processor has none of them: "
            "take another machine. Intel's processors since 2008 and AMD's since 2011 have v2."
        )
    if not levels:
        raise ImportError(
            "fastnet's compiled core is not beside this file. In the source tree, build it with `pip install -e .` or run "
            "Python from another folder to use an installed fastnet."
        )
    level = os.environ.get("FASTNET_CPU") or levels[-1]
    if level not in levels:
        raise ImportError(f"FASTNET_CPU={level!r}: this machine and build offer {', '.join(levels)}; set one of them or unset it")
    return level, importlib.import_module(f"fastnet._core.{level}")


if not TYPE_CHECKING:
    level, core = _choose()
