"""scikit-learn's own tests of its estimators, taken from the installed package, run on fastnet's."""

from __future__ import annotations

from pathlib import Path

import pytest
import sklearn
import sklearn.neural_network
from sklearn.utils.fixes import parse_version

SOURCE = Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
IMPORT = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
SWAPPED = "from fastnet.estimators import MLPClassifier, MLPRegressor"

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Training diverged"),
]

if not SOURCE.exists():
    pytest.skip("this scikit-learn was installed without its tests", allow_module_level=True)

text = SOURCE.read_text(encoding="utf-8")
if IMPORT not in text:
    raise RuntimeError(f"{SOURCE} no longer has the line {IMPORT!r}: swap its imports in another way")
exec(compile(text.replace(IMPORT, SWAPPED), str(SOURCE), "exec"), globals())

if parse_version(sklearn.__version__) < parse_version("1.7"):
    del globals()["test_gradient"]  # it calls a private method with the arguments of an older version


@pytest.mark.skipif(parse_version(sklearn.__version__) < parse_version("1.9"), reason="earlier versions have fewer tests")
def test_no_test_is_left_out() -> None:
    own = [name for name, value in globals().items() if name.startswith("test_") and value.__code__.co_filename == str(SOURCE)]
    assert len(own) >= 43


def test_the_swapped_names_are_fastnets() -> None:
    """The tests above have run on fastnet's classes."""
    assert globals()["MLPClassifier"].__module__.startswith("fastnet.")
    assert globals()["MLPRegressor"].__module__.startswith("fastnet.")
