"""What ``import fastnet`` imports, what is imported later, and which module may import which."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import ROOT, level_with_blas, run_python

import fastnet as fn

PACKAGE = Path(fn.__file__).parent

#: Modules and packages, lowest first; one imports those of lower rank when it is imported, and others only when a function needs
#: them.
LAYERS = [
    {"_atomic", "_caller", "_cgroups", "_core", "_hints", "_outputs", "_saving", "_summary", "exceptions"},
    {"_checks", "_clock", "_drafts", "_ranks", "_set_params", "_values"},
    {"activations", "initializers", "schedules", "runtime", "history"},
    {"losses", "optimizers", "layers", "augment"},
    {"_data", "ragged"},
    {"_fit", "_members", "_rows", "_steps"},
    {"_generation", "_objective", "_predictions"},
    {"_identity", "_trainers", "data", "network"},
    {"_factors", "_lbfgs", "_loop", "_models", "_sampling", "callbacks", "functional"},
    {"_session"},
    {"_many", "_rounds", "_stream"},
    {"training"},
    {"distributed", "estimators", "inspection", "persistence", "tabular", "torch"},
    {"checkpoint", "dask", "onnx", "plotting"},
    {"__init__", "cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = (
    "sklearn",
    "matplotlib",
    "onnx",
    "torch",
    "tqdm",
    "pandas",
    "click",
    "safetensors",
    "scipy.special",
    "scipy.optimize",
)


#: What a new process has imported after ``import fastnet`` and after a prediction, and submodules without an import of their own.
STEPS = f"""
import json
import sys
import fastnet as fn

heavy = [name for name in {HEAVY} if name in sys.modules]
import numpy as np

before = set(sys.modules)
for n_units in (3, 1024):  # own products, and BLAS's
    net = fn.Network([fn.Dense(n_units, "relu"), fn.Dense(2, "softmax")], 1024, random_state=0)
    net.forward(np.ones((3000, 1024)))
imported = sorted(set(sys.modules) - before)
submodules = [fn.inspection.diagnose.__name__, fn.estimators.MLPClassifier is fn.MLPClassifier]
print(json.dumps([heavy, imported, submodules]))
"""


@pytest.fixture(scope="module")
def steps():
    result = run_python(STEPS, FASTNET_CPU=level_with_blas())
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_import_is_light(steps):
    assert steps[0] == []


def test_the_first_prediction_imports_nothing(steps):
    """A child that is forked while another thread imports a module can never import it, so predictions must import nothing."""
    assert steps[1] == []


def test_submodules_come_with_the_package(steps):
    assert steps[2] == ["diagnose", True]


def test_what_needs_a_missing_library_names_it():
    statements = {
        "skl2onnx": "import fastnet.onnx; fastnet.onnx.register_skl2onnx()",
        "onnx": "sys.modules.pop('fastnet.onnx', None); import fastnet.onnx",
        "matplotlib": "import fastnet.plotting",
        "dask": "import fastnet.dask",
        "tqdm": "import fastnet; fastnet.ProgressBar().on_train_begin(None)",
    }
    if not find_spec("onnx"):
        del statements["skl2onnx"]
    code = f"""
import sys
for missing, statement in {statements}.items():
    sys.modules[missing] = None
    try:
        exec(statement)
    except ImportError as error:
        print(error)
"""
    result = run_python(code)
    for missing, message in zip(statements, result.stdout.splitlines(), strict=True):
        assert re.search(rf" needs .*pip install {missing}\b", message), message


def place_of(path):
    """Where a file is in the package: ("estimators", "_fit")."""
    return path.relative_to(PACKAGE).with_suffix("").parts


def imports_of(path, nodes):
    """What the import statements among `nodes` of a file take from fastnet, as ("network", "Network")."""
    package = ("fastnet", *place_of(path)[:-1])
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            names = [(*module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        yield from (name[1:] for name in names if name[0] == "fastnet" and len(name) > 1)


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def on_import(path):
    """What a file imports at its top level, type checking aside."""
    return imports_of(path, tree(path).body)


def anywhere(path):
    """What a file imports at its top level, in functions, or for type checking."""
    return imports_of(path, ast.walk(tree(path)))


def name_of(path):
    return "/".join(place_of(path))


def test_each_module_has_one_rank():
    assert sorted(name for names in LAYERS for name in names) == sorted(RANK)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_import_downwards_only(path):
    own = place_of(path)[0]
    assert own in RANK, f"{own} has no place in the layers"
    for other, *_ in on_import(path):
        assert other in RANK, f"{own} imports {other}, which has no place in the layers"
        assert other == own or RANK[other] < RANK[own], f"{own} imports {other}, which is not below it"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_is_private_to_a_package_is_not_imported_elsewhere(path):
    for other, *inside in anywhere(path):
        private = [name for name in inside if name.startswith("_")]
        is_package = (PACKAGE / other).is_dir() and other not in ("_core", place_of(path)[0])
        assert not (is_package and private), f"{name_of(path)} imports {private} of {other}"


def test_relative_imports_are_seen():
    path = PACKAGE / "estimators" / "_fit.py"
    seen = {
        "from . import _targets": ("estimators", "_targets"),
        "from ._solver import Solver": ("estimators", "_solver", "Solver"),
        "from .. import _data": ("_data",),
        "from ..network import Network": ("network", "Network"),
        "from fastnet.network import Network": ("network", "Network"),
        "import fastnet.losses": ("losses",),
    }
    for statement, name in seen.items():
        assert list(imports_of(path, ast.parse(statement).body)) == [name]
    assert list(imports_of(PACKAGE / "__init__.py", ast.parse("from .network import Network").body)) == [("network", "Network")]


def test_the_core_knows_nothing_of_fastnet():
    assert list(on_import(PACKAGE / "_core" / "__init__.py")) == []


def test_public_names():
    assert sorted(set(fn.__all__)) == fn.__all__
    assert set(fn.__all__) <= set(dir(fn))
    public = {
        name
        for name, value in vars(fn).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("fastnet")
    }
    assert public <= set(fn.__all__)
    with pytest.raises(AttributeError, match="module 'fastnet' has no attribute 'nonsense'"):
        fn.nonsense  # noqa: B018
    with pytest.raises(AttributeError, match="'diagnose'. It is fastnet.inspection.diagnose$"):
        fn.diagnose  # noqa: B018


@pytest.mark.parametrize("name", fn.__all__)
def test_every_public_name_can_be_had_and_is_documented(name):
    if fn._HOMES.get(name) == "fastnet.estimators":
        pytest.importorskip("sklearn")
    if name in ("load", "Checkpoint"):
        pytest.importorskip("safetensors")
    value = getattr(fn, name)
    assert name == "__version__" or value.__doc__


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

    monkeypatch.setattr(_core, "_built_levels", lambda: ())
    with pytest.raises(ImportError, match="pip install -e"):
        _core._choose()


def test_a_processor_without_any_level_that_was_built_is_told_so(monkeypatch):
    from fastnet import _core

    monkeypatch.setattr(_core, "_built_levels", lambda: ("v2", "v3"))
    monkeypatch.setattr(_core, "_cpu_features", lambda: {"SSE42": False, "POPCNT": True})
    with pytest.raises(ImportError, match="built for the x86-64 levels v2, v3, and this processor has none"):
        _core._choose()
