"""The compiled core: `core` is the module compiled for the best level of vector instructions this machine has.

`FASTNET_CPU` (baseline, v2, v3 or v4) takes another one, for tests and comparisons. A level above the machine's is refused: its
first instruction would end the process.
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
LEVELS = ("baseline", "v2", "v3", "v4")


def supported_levels() -> tuple[str, ...]:
    """The levels that were built and that this machine can run, best last."""
    features = _cpu_features()
    needs = {
        "baseline": (),
        "v2": ("SSE42", "POPCNT"),
        "v3": ("AVX2", "FMA3"),
        "v4": ("AVX512_SKX",),
    }
    names = os.listdir(os.path.dirname(__file__))
    built = {name.split(".")[0] for name in names if name.endswith(tuple(EXTENSION_SUFFIXES))}
    return tuple(level for level in LEVELS if level in built and all(features.get(name, False) for name in needs[level]))


def _cpu_features() -> dict[str, bool]:
    """What NumPy found when it was imported: it reads cpuid and the operating system's consent to wide registers."""
    from numpy._core._multiarray_umath import __cpu_features__  # type: ignore[import-not-found]

    return __cpu_features__


def _choose() -> tuple[str, ModuleType]:
    levels = supported_levels()
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
