"""The same seed gives the same model as the installed scikit-learn, to rounding.

The worst differences of the combinations that ran are printed by the last test (``pytest -rP``).
"""

from __future__ import annotations

import itertools
import warnings
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
import sklearn
import sklearn.neural_network
from helpers import spread
from sklearn.utils.fixes import parse_version

import fastnet.estimators
from fastnet.estimators import MLPRegressor

# Both libraries warn about batches larger than the data; test_warnings_are_equal looks at it.
pytestmark = pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1")

VERSION = parse_version(sklearn.__version__)
#: Sample weights and the Poisson loss came with 1.7.
SINCE_1_7 = VERSION >= parse_version("1.7")
WEIGHTED = (False, True) if SINCE_1_7 else (False,)
TASKS = ("binary", "multiclass", "multilabel", "regression", "multioutput", *(["poisson"] if SINCE_1_7 else []))
ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
SOLVERS: dict[str, dict[str, Any]] = {
    "sgd nesterov": {"solver": "sgd", "learning_rate_init": 0.02},
    "sgd invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.05, "power_t": 0.25},
    "sgd adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.02,
        "tol": 0.02,
        "n_iter_no_change": 2,
    },
    "adam": {"solver": "adam", "learning_rate_init": 0.005},
}
STOCHASTIC = spread(4, SOLVERS, TASKS, ACTIVATIONS, (False, True), WEIGHTED)
FLOAT32 = spread(4, SOLVERS, TASKS, ACTIVATIONS)
LBFGS = list(itertools.product([task for task in TASKS if task != "multioutput"], ACTIVATIONS, WEIGHTED))

WORST: dict[str, float] = defaultdict(float)
COMPARED: Counter[str] = Counter()


def _data(task: str, dtype: type = np.float64, n_rows: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.RandomState(0)
    X = rng.normal(size=(n_rows, 5))
    Z = X @ rng.normal(size=(5, 3)) + 0.3 * rng.normal(size=(n_rows, 3))
    y = {
        "binary": Z[:, 0] > 0.2,
        "multiclass": Z.argmax(axis=1),
        "multilabel": (Z > 0).astype(int),
        "regression": Z[:, 0],
        "multioutput": Z,
        "poisson": rng.poisson(np.exp(0.4 * Z[:, 0])).astype(float),
    }[task]
    return X.astype(dtype), y, rng.uniform(0.1, 3.0, len(X))


def _pair(task: str, **parameters: Any) -> tuple[Any, Any]:
    """An estimator of each library."""
    name = "MLPClassifier" if task in ("binary", "multiclass", "multilabel") else "MLPRegressor"
    if task == "poisson":
        parameters["loss"] = "poisson"
        if parameters.get("solver") == "sgd":  # the rates of the other losses make an exponential output diverge
            parameters["learning_rate_init"] = 0.002
    return tuple(getattr(library, name)(**parameters) for library in (fastnet.estimators, sklearn.neural_network))


def _fit_pair(
    task: str, weighted: bool, dtype: type = np.float64, n_rows: int = 50, **parameters: Any
) -> tuple[Any, Any, np.ndarray]:
    X, y, weights = _data(task, dtype, n_rows)
    ours, theirs = _pair(task, **{"hidden_layer_sizes": (6, 4), "max_iter": 30, "random_state": 7, **parameters})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for estimator in (ours, theirs):
            estimator.fit(X, y, **({"sample_weight": weights} if weighted else {}))
    return ours, theirs, X


def _relative(a: Any, b: Any) -> float:
    a, b = np.asarray(a, float), np.asarray(b, float)
    return float(np.max(np.abs(a - b) / np.abs(b)))


def _absolute(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    return max(float(np.max(np.abs(a - b))) for a, b in zip(ours, theirs, strict=True))


def _assert_same_run(ours: Any, theirs: Any, kind: str, *, loss_rtol: float, coef_atol: float) -> None:
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.t_ == theirs.t_
    differences = {
        "loss_curve_, relative": _relative(ours.loss_curve_, theirs.loss_curve_),
        "coefs_, absolute": _absolute(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_),
    }
    COMPARED[kind] += 1
    for name, value in differences.items():
        WORST[f"{kind}: {name}"] = max(WORST[f"{kind}: {name}"], value)
    assert differences["loss_curve_, relative"] <= loss_rtol
    assert differences["coefs_, absolute"] <= coef_atol


@pytest.mark.parametrize(("solver", "task", "activation", "early_stopping", "weighted"), STOCHASTIC)
def test_float64_training_is_equal(solver: str, task: str, activation: str, early_stopping: bool, weighted: bool) -> None:
    ours, theirs, X = _fit_pair(
        task, weighted, activation=activation, batch_size=16, early_stopping=early_stopping, **SOLVERS[solver]
    )
    _assert_same_run(ours, theirs, "float64", loss_rtol=1e-10, coef_atol=1e-8)
    if early_stopping:
        np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-9, atol=1e-12)
        assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_, rel=1e-9)
    else:
        assert ours.best_loss_ == pytest.approx(theirs.best_loss_, rel=1e-10)
    expected = theirs.predict(X)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(ours.predict(X), expected, rtol=1e-7, atol=1e-9)
    else:
        np.testing.assert_array_equal(ours.predict(X), expected)


@pytest.mark.parametrize(("solver", "task", "activation"), FLOAT32)
def test_float32_training_is_equal(solver: str, task: str, activation: str) -> None:
    ours, theirs, _ = _fit_pair(task, False, np.float32, activation=activation, batch_size=16, **SOLVERS[solver])
    assert {coef.dtype for coef in ours.coefs_} == {np.dtype(np.float32)}
    _assert_same_run(ours, theirs, "float32", loss_rtol=1e-3, coef_atol=1e-2)


@pytest.mark.parametrize(("task", "activation", "weighted"), LBFGS)
def test_lbfgs_is_equal(task: str, activation: str, weighted: bool) -> None:
    """Rows for which the line search makes no predictions that are wrong and certain: scikit-learn's loss is imprecise there.

    See docs/compatibility.md, and `test_fixes.test_loss_of_wrong_and_certain_predictions_is_exact`.
    """
    options = {"solver": "lbfgs", "activation": activation, "alpha": 0.1, "random_state": 1, "max_iter": 20}
    ours, theirs, _ = _fit_pair(task, weighted, n_rows=70, **options)
    difference = _relative(ours.loss_, theirs.loss_)
    COMPARED["lbfgs"] += 1
    WORST["lbfgs: loss_, relative"] = max(WORST["lbfgs: loss_, relative"], difference)
    assert ours.n_iter_ == theirs.n_iter_
    assert difference <= 1e-6


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": False},
        {"batch_size": 1},
        {"batch_size": 500},
        {"hidden_layer_sizes": ()},
        {"alpha": 1.0},
        {"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False},
        {"solver": "sgd", "momentum": 0.0},
    ],
)
def test_other_options_are_equal(task: str, options: dict[str, Any]) -> None:
    ours, theirs, _ = _fit_pair(task, False, **{"max_iter": 8, **options})
    _assert_same_run(ours, theirs, "float64", loss_rtol=1e-10, coef_atol=1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_partial_fit_is_equal(task: str, solver: str, dtype: type) -> None:
    X, y, weights = _data(task, dtype)
    pair = _pair(task, hidden_layer_sizes=(6,), solver=solver, learning_rate="invscaling", random_state=3, batch_size=20)
    classes = {"classes": np.unique(y)} if task in ("binary", "multiclass") else {}
    if task == "multilabel":
        classes = {"classes": range(3)}
    for _ in range(4):
        for part in (slice(0, 40), slice(40, 50)):
            given = {"sample_weight": weights[part]} if SINCE_1_7 else {}
            for estimator in pair:
                estimator.partial_fit(X[part], y[part], **given, **classes)
    tolerances = {"loss_rtol": 1e-10, "coef_atol": 1e-8} if dtype is np.float64 else {"loss_rtol": 1e-3, "coef_atol": 1e-2}
    _assert_same_run(*pair, "partial_fit " + np.dtype(dtype).name, **tolerances)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("task", TASKS)
def test_partial_fit_after_fit_and_pickling_is_equal(task: str, solver: str) -> None:
    import pickle

    ours, theirs, X = _fit_pair(task, False, solver=solver, max_iter=5)
    y = _data(task)[1]
    pair = pickle.loads(pickle.dumps(ours)), theirs
    for estimator in pair:
        estimator.partial_fit(X, y).partial_fit(X, y)
    _assert_same_run(*pair, "partial_fit after fit", loss_rtol=1e-10, coef_atol=1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("task", TASKS)
def test_warm_start_is_equal(task: str, solver: str) -> None:
    X, y, _ = _data(task)
    pair = _pair(task, hidden_layer_sizes=(6,), solver=solver, warm_start=True, max_iter=6, random_state=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for estimator in pair:
            estimator.fit(X, y).fit(X[::-1], y[::-1])
    _assert_same_run(*pair, "warm start", loss_rtol=1e-10, coef_atol=1e-8)


@pytest.mark.parametrize("seed", range(48))
def test_sequences_of_calls_are_equal(seed: int) -> None:
    """Fits, batches and changes of parameters in random order; scikit-learn's stale count of epochs stops none of these runs."""
    rng = np.random.RandomState(seed)
    task = TASKS[seed % len(TASKS)]
    X, y, weights = _data(task)
    classes = {"classes": range(3) if task == "multilabel" else np.unique(y)}
    known = classes if task in ("binary", "multiclass", "multilabel") else {}

    def one_of(*choices: Any) -> Any:
        return choices[rng.randint(len(choices))]

    pair = _pair(
        task,
        hidden_layer_sizes=one_of((), (3,), (4, 2)),
        solver=one_of("sgd", "adam"),
        learning_rate=one_of("constant", "invscaling", "adaptive"),
        batch_size=one_of("auto", 1, 7),
        shuffle=one_of(True, False),
        warm_start=one_of(True, False),
        max_iter=3,
        n_iter_no_change=np.inf,
        random_state=5,
    )
    for call in ("fit", *(one_of("fit", "partial_fit", "partial_fit", "set_params") for _ in range(4))):
        part = rng.permutation(len(X))[: one_of(10, 50)]
        given = {"sample_weight": weights[part]} if SINCE_1_7 and one_of(True, False) else {}
        change = one_of({"alpha": 0.5}, {"batch_size": 4}, {"max_iter": 2}, {"learning_rate_init": 0.004}, {"momentum": 0.3})
        for estimator in pair:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if call == "fit":
                    estimator.fit(X, y)
                elif call == "partial_fit":
                    estimator.partial_fit(X[part], y[part], **given, **known)
                else:
                    estimator.set_params(**change)
    _assert_same_run(*pair, "sequences of calls", loss_rtol=1e-10, coef_atol=1e-8)


@pytest.mark.parametrize("container", ["csr_matrix", "csc_matrix", "csr_array"])
def test_sparse_rows_are_equal(container: str) -> None:
    import scipy.sparse

    X, y, _ = _data("multiclass")
    X[np.abs(X) < 0.8] = 0
    sparse = getattr(scipy.sparse, container)(X)
    ours, theirs = _pair("multiclass", hidden_layer_sizes=(6,), max_iter=10, batch_size=16, random_state=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours.fit(sparse, y)
        theirs.fit(sparse, y)
    _assert_same_run(ours, theirs, "sparse", loss_rtol=1e-10, coef_atol=1e-8)
    np.testing.assert_allclose(ours.predict_proba(sparse), theirs.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_sparse_labels_are_equal(early_stopping: bool) -> None:
    import scipy.sparse

    X, Y, _ = _data("multilabel")
    sparse = scipy.sparse.csr_matrix(Y)
    ours, theirs = _pair("multilabel", hidden_layer_sizes=(6,), max_iter=10, early_stopping=early_stopping, random_state=3)
    they_fail = early_stopping and VERSION < parse_version("1.9")  # in scoring sparse labels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels, expected = ours.fit(X, sparse).predict(X), theirs.fit(X, Y if they_fail else sparse).predict(X)
    assert scipy.sparse.issparse(labels)
    np.testing.assert_array_equal(labels.toarray(), expected if they_fail else expected.toarray())
    assert ours.validation_scores_ == theirs.validation_scores_


@pytest.mark.parametrize("seed", [np.random.RandomState(5), None])
def test_other_random_states_are_equal(seed: Any) -> None:
    X, y, _ = _data("regression")
    curves = []
    for estimator in _pair("regression", max_iter=5, early_stopping=True):
        np.random.seed(11)
        estimator.set_params(random_state=seed and np.random.RandomState(5))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            curves.append(estimator.fit(X, y).loss_curve_)
    assert _relative(*curves) <= 1e-10


def test_verbose_lines_are_equal(capsys: pytest.CaptureFixture[str]) -> None:
    X, y, _ = _data("binary")
    lines = []
    for options in (
        {"early_stopping": True},
        {"learning_rate": "adaptive", "learning_rate_init": 1e-5, "tol": 0.1},
        {"tol": 0.5},
    ):
        for estimator in _pair("binary", solver="sgd", verbose=True, random_state=0, n_iter_no_change=2, max_iter=20, **options):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator.fit(X, y)
            lines.append(capsys.readouterr().out)
    assert lines[0::2] == lines[1::2]
    assert "Validation score did not improve" in lines[0]
    assert "Setting learning rate to 0.000002" in lines[2]
    assert "Learning rate too small. Stopping." in lines[2]
    assert "Training loss did not improve" in lines[4]


def _warnings_of(estimator: Any, X: np.ndarray, y: np.ndarray, action: str) -> list[tuple[type, str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        warnings.filterwarnings("ignore", "scipy.optimize: The `disp`")  # an option that scikit-learn 1.6 gives to SciPy
        estimator.fit(X, y)
        estimator.fit(X, y)
    return [(w.category, str(w.message)) for w in caught]


WARNED = [
    ("binary", {"max_iter": 2}),
    ("binary", {"batch_size": 1000, "max_iter": 2}),
    ("binary", {"solver": "lbfgs", "max_iter": 2}),
    ("binary column", {"solver": "lbfgs", "tol": 1.0}),
    ("regression column", {"tol": 1.0}),
]


def _warned(case: str, options: dict[str, Any]) -> tuple[tuple[Any, Any], np.ndarray, np.ndarray]:
    """An estimator of each library, and data with which it warns."""
    task, _, column = case.partition(" ")
    X, y, _ = _data(task)
    return _pair(task, random_state=0, **options), X, y[:, None] if column else y


@pytest.mark.parametrize("action", ["always", "default"])
@pytest.mark.parametrize(("case", "options"), WARNED)
def test_warnings_are_equal(case: str, options: dict[str, Any], action: str) -> None:
    pair, X, y = _warned(case, options)
    ours, theirs = (_warnings_of(estimator, X, y, action) for estimator in pair)
    assert ours == theirs
    assert ours


@pytest.mark.parametrize(("case", "options"), WARNED)
def test_filters_by_module_meet_the_warnings(case: str, options: dict[str, Any]) -> None:
    pair, X, y = _warned(case, options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module=r"sklearn\.neural_network\._multilayer_perceptron")
        for estimator in pair:
            estimator.fit(X, y)


BAD_PARAMETERS = [
    {"alpha": -1}, {"hidden_layer_sizes": 0.5}, {"hidden_layer_sizes": (3, 0)}, {"batch_size": 0}, {"learning_rate_init": 0},
    {"power_t": -1}, {"max_iter": 0}, {"shuffle": "yes"}, {"tol": -1}, {"warm_start": "no"}, {"momentum": 2},
    {"nesterovs_momentum": 3}, {"early_stopping": 2}, {"validation_fraction": 1}, {"beta_1": 1}, {"beta_2": -0.5}, {"epsilon": 0},
    {"n_iter_no_change": 0}, {"max_fun": 0}, {"random_state": "seed"},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_PARAMETERS, ids=str)
def test_errors_of_parameters_are_equal(bad: dict[str, Any]) -> None:
    X, y, _ = _data("binary")
    errors = []
    for estimator in _pair("binary", **bad):
        with pytest.raises(ValueError) as caught:
            estimator.fit(X, y)
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


def _first_loss_error() -> str:
    with pytest.raises(ValueError) as caught:
        MLPRegressor((10,)).fit([[0.0], [1.0]], [0.0, 1.0])
    return str(caught.value)


def test_loss_is_the_first_parameter_of_the_regressor() -> None:
    message = _first_loss_error()
    assert message.startswith("The 'loss' parameter of MLPRegressor must be")
    assert message.endswith("Got (10,) instead.")


@pytest.mark.skipif(not SINCE_1_7, reason="the regressor's first parameter came with 1.7")
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_signatures_begin_as_scikit_learns(name: str) -> None:
    """Except for y in fit, which can be omitted if X brings it."""
    import inspect

    ours, theirs = (getattr(library, name) for library in (fastnet.estimators, sklearn.neural_network))
    probabilities = ["predict_proba", "predict_log_proba"] if name == "MLPClassifier" else []
    for method in ("__init__", "fit", "partial_fit", "predict", "score", *probabilities):
        expected = list(inspect.signature(getattr(theirs, method)).parameters.values())
        if method == "fit":
            expected = [p.replace(default=None) if p.name == "y" else p for p in expected]
        parameters = list(inspect.signature(getattr(ours, method)).parameters.values())
        shared, added = parameters[: len(expected)], parameters[len(expected) :]
        assert [(p.name, p.default, p.kind) for p in shared] == [(p.name, p.default, p.kind) for p in expected], method
        assert all(p.kind is p.KEYWORD_ONLY for p in added), method


def test_fitted_attributes_are_those_of_scikit_learn() -> None:
    for options in ({}, {"early_stopping": True}, {"solver": "lbfgs"}):
        for task in ("binary", "regression"):
            ours, theirs, _ = _fit_pair(task, False, max_iter=3, **options)
            public = {name for name in vars(theirs) if name.endswith("_") and not name.startswith("_")}
            assert public <= set(vars(ours))
            for name in public - {"coefs_", "intercepts_"}:
                assert isinstance(getattr(ours, name), type(getattr(theirs, name))), name


def test_summary_of_the_worst_differences() -> None:
    assert len(STOCHASTIC) >= (300 if SINCE_1_7 else 150)
    for kind, number in COMPARED.items():
        print(f"{kind}: {number} combinations compared")
    for name, value in sorted(WORST.items()):
        print(f"worst difference, {name}: {value:.3g}")
