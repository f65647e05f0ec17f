"""What ``import fastnet`` imports, what is imported later, and which module may import which."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from helpers import ROOT, run_python

import fastnet as fn

PACKAGE = Path(fn.__file__).parent

#: Layers, lowest first; a module imports those of lower rank when it is imported, and others only inside functions.
LAYERS = [
    {"_cgroups", "_core", "_hints", "_values", "exceptions"},
    {"_checks"},
    {"activations", "initializers", "schedules", "runtime", "history"},
    {"losses", "optimizers", "layers"},
    {"_data"},
    {"_identity", "network"},
    {"_lbfgs", "_sampling", "_loop", "callbacks"},
    {"_session"},
    {"training"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HEAVY = (
    "sklearn",
    "matplotlib",
    "onnx",
    "torch",
    "tqdm",
    "pandas",
    "safetensors",
    "scipy.special",
    "scipy.optimize",
)


def test_import_is_light():
    code = f"import sys, fastnet; print([name for name in {HEAVY} if name in sys.modules])"
    result = run_python(code)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize(
    ("missing", "statement"),
    [
        ("matplotlib", "import fastnet.plotting"),
        ("onnx", "import fastnet.onnx"),
        ("skl2onnx", "import fastnet.onnx; fastnet.onnx.register_skl2onnx()"),
        ("tqdm", "import fastnet; fastnet.ProgressBar().on_train_begin(None)"),
    ],
)
def test_what_needs_a_missing_library_names_it(missing, statement):
    if missing == "skl2onnx":
        pytest.importorskip("onnx")
    result = run_python(f"import sys; sys.modules[{missing!r}] = None; {statement}")
    assert re.search(rf"^ImportError: .* needs .*pip install {missing}\b", result.stderr, re.MULTILINE), result.stderr


def test_the_first_prediction_imports_nothing():
    """A child that is forked while another thread imports a module can never import it, so predictions must import nothing."""
    code = """
import sys
import numpy as np
import fastnet as fn

before = set(sys.modules)
for n_units in (3, 1024):  # own products, and BLAS's
    net = fn.Network([fn.Dense(n_units, "relu"), fn.Dense(2, "softmax")], 1024, random_state=0)
    net.forward(np.ones((3000, 1024)))
print(sorted(set(sys.modules) - before))
"""
    result = run_python(code)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def imported_on_import(path):
    """Modules of fastnet that a file imports at its top level, except for type checking, as names below the package."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "fastnet":
                yield from (alias.name for alias in node.names)
            elif node.module.startswith("fastnet."):
                yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("fastnet."))


@pytest.mark.parametrize("name", sorted(RANK))
def test_modules_import_downwards_only(name):
    path = PACKAGE / f"{name}.py"
    path = path if path.exists() else PACKAGE / name / "__init__.py"
    for other in imported_on_import(path):
        assert other in RANK, f"{name} imports {other}, which has no place in the layers"
        assert RANK[other] < RANK[name], f"{name} imports {other}, which is not below it"


def test_the_core_knows_nothing_of_fastnet():
    assert list(imported_on_import(PACKAGE / "_core" / "__init__.py")) == []


def test_public_names():
    assert sorted(set(fn.__all__)) == sorted(fn.__all__)
    assert set(fn.__all__) <= set(dir(fn))
    public = {
        name
        for name, value in vars(fn).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("fastnet")
    }
    assert public <= set(fn.__all__)
    with pytest.raises(AttributeError, match="module 'fastnet' has no attribute 'nonsense'"):
        fn.nonsense  # noqa: B018


@pytest.mark.parametrize("name", fn.__all__)
def test_every_public_name_can_be_had_and_is_documented(name):
    if name in ("MLPClassifier", "MLPRegressor"):
        pytest.importorskip("sklearn")
    if name in ("load", "Checkpoint"):
        pytest.importorskip("safetensors")
    value = getattr(fn, name)
    assert name == "__version__" or value.__doc__


def test_submodules_come_with_the_package():
    code = "import fastnet as fn; print(fn.inspection.diagnose.__name__, fn.estimators.MLPClassifier is fn.MLPClassifier)"
    result = run_python(code)
    assert result.stdout.strip() == "diagnose True", result.stderr


def test_version_is_that_of_the_project():
    tomllib = pytest.importorskip("tomllib")
    project = ROOT / "pyproject.toml"
    if not project.exists():
        pytest.skip("not in a source tree")
    assert tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"] == fn.__version__


def test_typed():
    assert (PACKAGE / "py.typed").exists()


def test_a_tree_without_a_compiled_core_says_what_to_do(monkeypatch):
    from fastnet import _core

    monkeypatch.setattr(_core, "supported_levels", lambda: ())
    with pytest.raises(ImportError, match="pip install -e"):
        _core._choose()
