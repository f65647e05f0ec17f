"""The compiled core (src_pyx): one extension for each level of vector instructions, from the same source, and their guards."""

import os
import platform
import sys

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

# Bounds and initialisation checks where Cython makes them, and a trap at undefined behaviour where the C compiler does.
DEBUG = os.environ.get("FASTNET_DEBUG") == "1"
# The functions' names, for profiles (tools/profile.sh).
SYMBOLS = DEBUG or os.environ.get("FASTNET_SYMBOLS") == "1"
MSVC = sys.platform == "win32"

# Never -march=native nor -ffast-math: wheels run anywhere, and NaN must stay visible.
COMMON = ["/O2", "/fp:precise"] if MSVC else ["-O3", "-fno-math-errno", "-fno-trapping-math", "-Wno-unused-function"]
if DEBUG and not MSVC:
    COMMON += ["-g", "-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
LEVELS = {"baseline": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    LEVELS |= {"v3": ["/arch:AVX2"], "v4": ["/arch:AVX512"]} if MSVC else {f"v{n}": [f"-march=x86-64-v{n}"] for n in (2, 3, 4)}
# Development: build these levels alone, as in FASTNET_LEVELS="v3 v4".
WANTED = os.environ.get("FASTNET_LEVELS", "").replace(",", " ").split()
if unknown := sorted(set(WANTED) - set(LEVELS)):
    sys.exit(f"FASTNET_LEVELS names {', '.join(unknown)}: this platform has {', '.join(LEVELS)}")
SOURCES = "src_pyx/fastnet/_core"

setup(
    options={"build_ext": {"parallel": os.cpu_count()}},
    ext_modules=cythonize(
        [
            Extension(
                f"fastnet._core.{name}",
                [f"{SOURCES}/{name}.pyx"],
                include_dirs=[SOURCES, numpy.get_include()],
                define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
                extra_compile_args=COMMON + flags,
                extra_link_args=[] if MSVC or sys.platform == "darwin" or SYMBOLS else ["-Wl,--strip-all"],
                depends=[f"{SOURCES}/{source}" for source in sorted(os.listdir(SOURCES)) if source.endswith((".pxi", ".h"))],
            )
            for name, flags in {"guards": [], **LEVELS}.items()
            if not WANTED or name in ("guards", *WANTED)
        ],
        include_path=["src_pyx"],
        build_dir="build/cython-debug" if DEBUG else "build/cython",
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "initializedcheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "freethreading_compatible": True,
        },
    ),
)
