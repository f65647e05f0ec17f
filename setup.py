"""The compiled core (src_pyx): one extension for each level of vector instructions, from the same source, and their guards."""

import hashlib
import os
import platform
import sys
from pathlib import Path

import Cython
import numpy
import scipy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

# Bounds and initialisation checks where Cython makes them, and a trap at undefined behaviour where the C compiler does.
DEBUG = os.environ.get("FASTNET_DEBUG") == "1"
# The functions' names, for profiles (tools/profile.sh).
SYMBOLS = DEBUG or os.environ.get("FASTNET_SYMBOLS") == "1"
MSVC = sys.platform == "win32"

# Never -march=native nor -ffast-math: wheels run anywhere, and NaN must stay visible.
COMMON = ["/O2", "/fp:precise"] if MSVC else ["-O3", "-fno-math-errno", "-fno-trapping-math", "-Wno-unused-function"]
if DEBUG and not MSVC:
    COMMON += ["-g", "-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-DFASTNET_DEBUG"]
elif not SYMBOLS and not MSVC:
    COMMON += ["-g0"]  # most Pythons are built with -g: debug information that would be stripped below takes a third of the time
if platform.machine().lower() not in ("x86_64", "amd64"):
    LEVELS: dict[str, list[str]] = {"baseline": []}
elif MSVC:
    LEVELS = {"baseline": [], "v3": ["/arch:AVX2"], "v4": ["/arch:AVX512"]}
else:  # NumPy's wheels need v2, too
    LEVELS = {f"v{n}": [f"-march=x86-64-v{n}"] for n in (2, 3, 4)}
# Development: build these levels alone, as in FASTNET_LEVELS="v3 v4".
WANTED = os.environ.get("FASTNET_LEVELS", "").replace(",", " ").split()
if unknown := sorted(set(WANTED) - set(LEVELS)):
    sys.exit(f"FASTNET_LEVELS names {', '.join(unknown)}: this platform has {', '.join(LEVELS)}")

SOURCES = "src_pyx/fastnet/_core"
DEPENDS = sorted(str(path) for suffix in ("pyx", "pxi", "h") for path in Path(SOURCES).rglob(f"*.{suffix}"))
# A build folder for each configuration: within one, setuptools compiles again only where a source is newer than what it built.
VARIABLES = [os.environ.get(name) for name in ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")]
CONFIGURATION = (DEBUG, SYMBOLS, COMMON, LEVELS, VARIABLES, sys.version, numpy.__version__, scipy.__version__, Cython.__version__)
BUILD = f"build/{hashlib.sha256(repr(CONFIGURATION).encode()).hexdigest()[:12]}"


class BuildExt(build_ext):
    """Keeps what editable installs compile: setuptools would build them in a temporary folder, from the beginning each time."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.editable_mode:
            self.build_lib = f"{BUILD}/editable"


MODULES = ("core", "guards")
# cythonize would translate them again for each install: the .pxd files of NumPy and SciPy are new in every build environment.
if any(newer_group(DEPENDS, f"{BUILD}/cython/{SOURCES}/{name}.c", missing="newer") for name in MODULES):
    cythonize(
        [Extension(f"fastnet._core.{name}", [f"{SOURCES}/{name}.pyx"]) for name in MODULES],
        include_path=["src_pyx"],
        build_dir=f"{BUILD}/cython",
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "initializedcheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "freethreading_compatible": True,
        },
    )
guards = Extension("fastnet._core.guards", [f"{BUILD}/cython/{SOURCES}/guards.c"], depends=DEPENDS)

setup(
    cmdclass={"build_ext": BuildExt},
    options={"build": {"build_base": BUILD}, "build_ext": {"parallel": os.cpu_count()}},
    ext_modules=[guards]
    + [
        Extension(
            f"fastnet._core.{level}",
            [f"{SOURCES}/{level}.c"],
            include_dirs=[SOURCES, f"{BUILD}/cython/{SOURCES}", numpy.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
            extra_compile_args=COMMON + flags,
            extra_link_args=[] if MSVC or sys.platform == "darwin" or SYMBOLS else ["-Wl,--strip-all"],
            depends=DEPENDS,
        )
        for level, flags in reversed(LEVELS.items())  # the best takes longest
        if not WANTED or level in WANTED
    ],
)
