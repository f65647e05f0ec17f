"""The documentation: examples in docstrings and pages run, links lead somewhere, every public object is in the reference."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import runpy
import tomllib
import warnings
from pathlib import Path

import pytest

import fastnet
from fastnet.activations import ACTIVATIONS
from fastnet.initializers import INITIALIZERS
from fastnet.losses import LOSSES
from fastnet.optimizers import OPTIMIZERS
from fastnet.schedules import SCHEDULES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BUILT = {"_build", "gallery", "generated"}
PAGES = [ROOT / "README.md", *(p for p in sorted(DOCS.rglob("*.md")) if not BUILT & set(p.relative_to(DOCS).parts))]
MISTAKES = (DOCS / "guide" / "mistakes.md").read_text(encoding="utf-8")
OTHER_PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
#: Text in a page or in a module's name -> the optional library that it needs.
OPTIONAL = {
    "fastnet.dask": "dask",
    "from mlxtend": "mlxtend",
    "from mnist1d": "mnist1d",
    "fastnet.plotting": "matplotlib",
    "fastnet.onnx": "onnx",
    "import matplotlib": "matplotlib",
    "import onnxruntime": "onnxruntime",
    "import pandas": "pandas",
    "import skl2onnx": "skl2onnx",
}
PACKAGE = Path(fastnet.__file__).parent
MODULES = sorted(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))
SUBMODULES = ["estimators", "inspection", "onnx", "persistence", "plotting", "checkpoint", "torch"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Examples write to a temporary folder, and their figures are not shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    yield
    if "matplotlib.pyplot" in importlib.sys.modules:
        importlib.import_module("matplotlib.pyplot").close("all")


def skip_without_optional(text: str) -> None:
    for mention, library in OPTIONAL.items():
        if mention in text:
            pytest.importorskip(library)


def run_doctest(test: doctest.DocTest) -> None:
    report: list[str] = []
    failed = doctest.DocTestRunner().run(test, out=report.append, clear_globs=False).failed
    assert not failed, "".join(report)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    skip_without_optional(name)
    module = importlib.import_module(name.removesuffix(".__init__"))
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        run_doctest(test)


@pytest.mark.filterwarnings("error::fastnet.inspection.DiagnosisWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_of_pages_runs(page):
    text = page.read_text(encoding="utf-8")
    skip_without_optional(text)
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        code, first_line = block[1], text[: block.start(1)].count("\n")
        if code.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), first_line)
            test.globs = namespace  # not a copy: later blocks of a page use the names of earlier ones
            run_doctest(test)
        else:
            exec(compile("\n" * first_line + code, page, "exec"), namespace)


def message_of(code: str) -> str:
    """The error that the code ends with, or its warnings, on one line."""
    namespace: dict[str, object] = {}
    exec(re.search("```python\n(.*?)```", MISTAKES, re.DOTALL)[1], namespace)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(code, namespace)
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
        else:
            message = " ".join(f"{warning.category.__name__}: {warning.message}" for warning in caught)
    return " ".join(message.split())


@pytest.mark.parametrize("row", [row for row in MISTAKES.splitlines() if row.startswith("| `")])
def test_mistakes_get_the_messages_of_the_page(row):
    skip_without_optional(MISTAKES)
    code, expected = re.fullmatch(r"\| `(.+?)` \| (`+) ?(.+?) ?\2 \|", row).group(1, 3)
    message = message_of(code)
    assert re.fullmatch(re.escape(expected).replace(re.escape("..."), ".*?"), message), message


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_have_words_and_lead_somewhere(page):
    if not page.exists():
        pytest.skip("not in a source tree")
    for words, target in re.findall(r"\[([^\]\n]*)\]\(([^)#\s]+)[^)\s]*\)", page.read_text(encoding="utf-8")):
        assert words, f"the link to {target} has no words outside of Sphinx"
        example = re.fullmatch(r"(?:\.\./)?gallery/(plot_\w+)\.rst", target)  # Sphinx-Gallery makes the page
        file = ROOT / "examples" / f"{example[1]}.py" if example else page.parent / target
        assert ":" in target or target == "gallery/index.rst" or file.exists(), f"{target} does not exist"


@pytest.mark.parametrize("name", ["fastnet", *(f"fastnet.{name}" for name in SUBMODULES)])
def test_reference_lists_every_public_object(name):
    skip_without_optional(name)
    listed = set(re.findall(r"^   ([\w.]+)$", (DOCS / "api.rst").read_text(encoding="utf-8"), re.MULTILINE))
    for public in set(importlib.import_module(name).__all__) - {"__version__", "FORMAT_VERSION"}:
        names = {f"{name}.{public}".removeprefix("fastnet."), public if hasattr(fastnet, public) else ""}
        assert names & listed, f"docs/api.rst does not list {name}.{public}"


@pytest.mark.parametrize("name", sorted(set(fastnet.__all__) - {"__version__"}))
def test_public_objects_have_an_example(name):
    """But for what only fastnet makes, warnings, and what prints the machine."""
    if name not in {"DivergenceError", "DivergenceWarning", "Layer", "OptimizerState", "ProgressBar", "show_config"}:
        assert ">>> " in inspect.getdoc(getattr(fastnet, name))


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("activations", ACTIVATIONS),
        ("activations", INITIALIZERS),
        ("losses", LOSSES),
        ("optimizers", OPTIMIZERS),
        ("optimizers", SCHEDULES),
    ],
)
def test_guide_names_every_choice(page, table):
    text = (DOCS / "guide" / f"{page}.md").read_text(encoding="utf-8")
    assert [name for name in table if f'`"{name}"`' not in text] == []


def test_compatibility_page_names_every_activation():
    text = (DOCS / "compatibility.md").read_text(encoding="utf-8")
    row = next(row for row in text.splitlines() if row.startswith("| `activation`"))
    scikit_learns = {"identity", "logistic", "tanh", "relu", "softmax"}
    assert [name for name in ACTIVATIONS if name not in scikit_learns and f'"{name}"' not in row] == []


def test_install_commands_name_this_project_and_its_extras():
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("not in a source tree")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    pages = [*PAGES, *OTHER_PAGES, *(ROOT / "examples").glob("*.*")]
    sources = [*pages, *PACKAGE.rglob("*.py")]
    commands = [command for path in sources for command in re.findall("pip install [^\n`&]+", path.read_text(encoding="utf-8"))]
    requirements = [requirement for extra in extras.values() for requirement in extra]
    for name, _, chosen in re.findall(r"(fastnet[\w-]*|(?<=\")\.)(\[([\w,]+)\])?", "\n".join(commands + requirements)):
        assert name in (".", project["name"]), f"{name} is another project's distribution"
        assert set(filter(None, chosen.split(","))) <= set(extras)


def test_there_are_ten_examples():
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_begin_with_a_title_and_compile(path):
    source = path.read_text(encoding="utf-8")
    compile(source, path, "exec")
    title, underline = source.splitlines()[1:3]
    assert source.startswith('"""\n') and underline == "=" * len(title)


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(path):
    skip_without_optional(path.read_text(encoding="utf-8"))
    runpy.run_path(str(path))
