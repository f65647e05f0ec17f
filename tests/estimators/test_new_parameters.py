"""The parameters that fastnet adds: what each does, and what bad values get."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comparison import distance, equal
from sklearn.datasets import make_classification

import fastnet as fn
from fastnet._models import model_view
from fastnet.estimators import MLPClassifier, MLPRegressor
from fastnet.estimators._parameters import HIDDEN_ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Data = tuple[np.ndarray, np.ndarray]


# hidden_layer_sizes


@pytest.mark.parametrize("sizes", [(2.5,), [[3, 4]], ["3"], np.array([4.0])])
def test_sizes_that_are_no_integers(iris: Data, sizes: Any) -> None:
    with pytest.raises(
        ValueError, match="'hidden_layer_sizes' parameter of MLPClassifier must be an integer, or a list with one"
    ):
        MLPClassifier(sizes).fit(*iris)


# activation


@pytest.mark.parametrize("name", sorted(HIDDEN_ACTIVATIONS))
def test_every_activation_learns(iris: Data, name: str) -> None:
    X, y = iris
    clf = MLPClassifier((8,), name, solver="lbfgs", max_iter=60, random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.9


def test_activation_per_layer_is_the_engines(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((6, 5), ["tanh", fn.LeakyReLU(0.1)], max_iter=5, random_state=0).fit(X, y)
    layers = [fn.Dense(6, "tanh"), fn.Dense(5, fn.LeakyReLU(0.1)), fn.Dense(3, "softmax")]
    network = fn.Network.from_parameters(layers, clf.coefs_, clf.intercepts_)
    np.testing.assert_array_equal(clf.predict_proba(X), network.forward(X))


def test_equal_activations_in_a_list_are_one(iris: Data) -> None:
    X, y = iris
    for name in ("logistic", "relu"):
        one, listed = (MLPClassifier((4, 4), a, max_iter=3, random_state=0).fit(X, y) for a in (name, [name, name]))
        assert equal(one, listed)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (["relu"], "one value, or a list with one value for each of the 2 hidden layers"),
        (["relu", "swish"], "made of names among"),
        (["tanh", 3], "made of names of activations and Activation objects"),
        ("softmax", "a str among"),
        (fn.Softmax(), "an elementwise function"),
        ("swish", "a str among"),
        (np.array(["relu", "tanh"]), "an instance of 'list'"),
    ],
)
def test_bad_activation_is_named(iris: Data, activation: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=f"The 'activation' parameter of MLPClassifier must be .*{expected}"):
        MLPClassifier((4, 4), activation).fit(*iris)


def test_array_of_activations_set_after_fit(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((4, 4), ["tanh", "relu"], max_iter=3, random_state=0).fit(X, y)
    expected = clf.predict_proba(X)
    clf.set_params(activation=np.array(["tanh", "relu"]))
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    assert [activation.name for activation in model_view(clf).activations] == ["tanh", "relu", "softmax"]


# solver and learning_rate


@pytest.mark.parametrize("solver", ["adamw", "rmsprop", "adagrad", "momentum", "nesterov", "sgd", "adam"])
def test_every_solver_learns(iris: Data, solver: str) -> None:
    X, y = iris
    clf = MLPClassifier((10,), solver=solver, learning_rate_init=0.01, batch_size=20, max_iter=40, random_state=0).fit(X, y)
    assert clf.loss_ < 0.5 * clf.loss_curve_[0]


def test_names_and_objects_of_solvers_agree(iris: Data) -> None:
    X, y = iris
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"solver": "sgd"}, {"solver": fn.SGD(0.001, momentum=0.9, nesterov=True)}),
        ({"solver": "nesterov"}, {"solver": "sgd"}),
        ({"solver": "momentum", "momentum": 0.5}, {"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False}),
        ({"solver": "adam"}, {"solver": fn.Adam(0.001, epsilon_hat=True)}),
        ({"solver": "adamw"}, {"solver": fn.AdamW(0.001)}),
        ({"solver": "adamw", "weight_decay": 0.0, "beta_1": 0.8}, {"solver": fn.Adam(0.001, beta1=0.8)}),
        ({"solver": "rmsprop", "learning_rate_init": 0.01}, {"solver": fn.RMSprop(0.01)}),
        ({"solver": "lbfgs", "tol": 1e-2}, {"solver": fn.LBFGS(tol=1e-2)}),
    ]
    for one, other in pairs:
        a, b = (MLPClassifier((4,), max_iter=4, random_state=0, **options).fit(X, y) for options in (one, other))
        assert equal(a, b), one


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_learning_rates_of_any_kind(iris: Data, solver: str) -> None:
    X, y = iris
    options = {"solver": solver, "batch_size": 50, "max_iter": 4, "random_state": 0}

    def fitted(rate: Any, **more: Any) -> MLPClassifier:
        return MLPClassifier((4,), learning_rate=rate, **options, **more).fit(X, y)

    halves = [0.01 * 0.5**j for j in range(12)]
    assert equal(fitted(halves), fitted(lambda j: 0.01 * 0.5**j))
    assert equal(fitted(np.array(halves)), fitted(fn.ExponentialDecay(0.01, 0.5)))
    assert equal(fitted("constant", learning_rate_init=0.01), fitted(fn.Constant(0.01)))
    assert equal(fitted("cosine", learning_rate_init=0.01), fitted(fn.Cosine(0.01, n_steps=12)))
    assert not equal(fitted("cosine", learning_rate_init=0.01), fitted("constant", learning_rate_init=0.01))
    for name in ("step", "exponential", "inverse_scaling", "one_cycle", "linear_warmup"):
        assert np.isfinite(fitted(name).loss_)


def test_schedule_of_an_optimiser_object(iris: Data) -> None:
    X, y = iris
    options = {"batch_size": 50, "max_iter": 4, "random_state": 0}
    own = MLPClassifier((4,), solver=fn.AdamW(fn.Cosine(0.01)), **options).fit(X, y)
    given = MLPClassifier((4,), solver="adamw", learning_rate=fn.Cosine(0.01), **options).fit(X, y)
    replaced = MLPClassifier((4,), solver=fn.AdamW(fn.OneCycle(0.5)), learning_rate=fn.Cosine(0.01), **options).fit(X, y)
    assert equal(own, given)
    assert equal(own, replaced)


@pytest.mark.parametrize("policy", ["cosine", "one_cycle", "invscaling", "adaptive"])
def test_a_policy_starts_from_the_first_rate_of_an_optimiser_whose_schedule_has_no_length(iris: Data, policy: str) -> None:
    X, y = iris
    options: dict[str, Any] = {"learning_rate": policy, "batch_size": 50, "max_iter": 4, "random_state": 0}
    of_run = MLPClassifier((4,), solver=fn.SGD(fn.Cosine(0.01)), **options).fit(X, y)
    assert equal(of_run, MLPClassifier((4,), solver=fn.SGD(0.01), **options).fit(X, y))


def test_adaptive_rate_of_a_new_solver(iris: Data) -> None:
    X, y = iris
    options = {"learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 2, "max_iter": 200, "random_state": 0}
    clf = MLPClassifier((4,), solver="rmsprop", **options).fit(X, y)
    assert clf._optimizer.learning_rate < 1e-6
    assert clf.n_iter_ < 200


def test_schedule_continues_over_partial_fit(iris: Data) -> None:
    X, y = iris
    options = {"solver": "sgd", "learning_rate": [0.1, 0.01, 0.001, 0.0], "shuffle": False, "random_state": 0}
    once = MLPClassifier((4,), max_iter=4, **options).fit(X, y)
    parts = MLPClassifier((4,), **options)
    for _ in range(4):
        parts.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_allclose(once.coefs_[0], parts.coefs_[0], rtol=1e-12)


def test_schedule_of_a_run_is_refused_in_partial_fit(iris: Data) -> None:
    X, y = iris
    for options in (
        {"learning_rate": "cosine"},
        {"learning_rate": "one_cycle"},
        {"learning_rate": fn.LinearWarmup(fn.Cosine(0.01))},
        {"solver": fn.AdamW(fn.Cosine(0.01))},
    ):
        clf = MLPClassifier((4,), max_iter=2, random_state=0, **options)
        with pytest.raises(ValueError, match=r"ends with the run, and partial_fit .*fastnet.Cosine\(0.01, n_steps="):
            clf.partial_fit(X, y, classes=[0, 1, 2])
        assert not hasattr(clf, "coefs_")
        with pytest.raises(ValueError, match="ends with the run, and partial_fit"):
            clf.fit(X, y).partial_fit(X, y)


def test_partial_fit_goes_on_with_another_schedule(iris: Data) -> None:
    X, y = iris
    constant = MLPClassifier((4,), learning_rate="cosine", max_iter=2, random_state=0).fit(X, y)
    constant.set_params(learning_rate="constant")
    of_known_length = MLPClassifier((4,), learning_rate=fn.Cosine(0.01, n_steps=100), max_iter=2, random_state=0).fit(X, y)
    for clf in (constant, of_known_length):
        before = clf.coefs_[0].copy()
        assert not np.array_equal(clf.partial_fit(X, y).coefs_[0], before)


def test_too_few_learning_rates(iris: Data) -> None:
    with pytest.raises(ValueError, match=r"The sequence holds 3 learning rates, the run makes 4 updates"):
        MLPClassifier(learning_rate=[0.1, 0.1, 0.1], max_iter=4).fit(*iris)


def test_function_that_gives_no_number(iris: Data) -> None:
    with pytest.raises(TypeError, match="The function given as learning_rate must return a number, got 'a' for update 0"):
        MLPClassifier(learning_rate=lambda j: "a").fit(*iris)


@pytest.mark.parametrize(
    ("name", "value"), [("solver", "newton"), ("solver", 3), ("learning_rate", "sometimes"), ("learning_rate", 0.1)]
)
def test_bad_solver_or_rate_is_named(iris: Data, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"The '{name}' parameter of MLPClassifier must be .* Got {value!r} instead"):
        MLPClassifier(**{name: value}).fit(*iris)


# dropout, weight_decay, max_grad_norm


def test_dropout_is_reproducible_and_leaves_the_random_stream(iris: Data) -> None:
    X, y = iris
    streams = [np.random.RandomState(3) for _ in range(3)]
    models = [
        MLPClassifier((8, 8), dropout=rate, max_iter=5, random_state=stream).fit(X, y)
        for rate, stream in zip((0.0, 0.4, [0.4, 0.4]), streams, strict=True)
    ]
    assert len({stream.randint(2**31) for stream in streams}) == 1
    assert equal(models[1], models[2])
    assert not equal(models[0], models[1])
    np.testing.assert_array_equal(models[1].predict_proba(X), models[1].predict_proba(X))


def test_dropout_differs_between_calls_of_partial_fit(iris: Data) -> None:
    X, y = iris
    options = {
        "dropout": 0.5,
        "solver": "sgd",
        "learning_rate": lambda j: 1e-4,
        "momentum": 0.0,
        "shuffle": False,
        "random_state": 0,
    }
    clf = MLPClassifier((50,), **options).partial_fit(X, y, classes=[0, 1, 2])
    steps = []
    for _ in range(2):
        before = clf.intercepts_[0].copy()
        steps.append(clf.partial_fit(X, y).intercepts_[0] - before)
    assert not np.allclose(steps[0], steps[1], rtol=0.1)


def test_weight_decay_shrinks_weights_and_not_biases() -> None:
    X, y = np.zeros((40, 3)), np.zeros(40)
    options = {"solver": "sgd", "learning_rate_init": 0.1, "momentum": 0.0, "alpha": 0.0, "max_iter": 5, "random_state": 0}
    plain = MLPRegressor(hidden_layer_sizes=(4,), batch_size=10, **options).fit(X, y)
    decayed = MLPRegressor(hidden_layer_sizes=(4,), batch_size=10, weight_decay=0.3, **options).fit(X, y)
    np.testing.assert_allclose(decayed.coefs_[0], plain.coefs_[0] * (1 - 0.1 * 0.3) ** 20, rtol=1e-12)


def test_max_grad_norm_limits_a_step(regression: Data) -> None:
    X, y = regression
    options = {
        "hidden_layer_sizes": (4,),
        "solver": "sgd",
        "momentum": 0.0,
        "learning_rate_init": 0.1,
        "alpha": 0,
        "random_state": 0,
    }
    start = MLPRegressor(**options).initialize(X.shape[1])
    reg = MLPRegressor(max_iter=1, batch_size=len(X), max_grad_norm=0.25, **options).fit(X, 1e3 * y)
    step = np.hstack(
        [(a - b).ravel() for a, b in zip(reg.coefs_ + reg.intercepts_, start.coefs_ + start.intercepts_, strict=True)]
    )
    assert np.linalg.norm(step) == pytest.approx(0.1 * 0.25, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [("dropout", 1.0), ("dropout", [0.1]), ("dropout", [0.1, 2]), ("weight_decay", -1), ("max_grad_norm", 0),
     ("label_smoothing", 1), ("dtype", "float16"),
     ("dtype", np.dtype("int32")), ("dtype", np.dtype(">f4")), ("n_threads", 0), ("scoring", 3), ("restore_best", 2),
     ("partial_fit_epochs", 0),
     ("validation_split", "half"), ("stratify", "all"), ("verbose", "bar")],
)  # fmt: skip
def test_bad_extra_parameter_is_named(iris: Data, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"The '{name}' parameter of MLPClassifier must be"):
        MLPClassifier((4, 4), **{name: value}).fit(*iris)


def test_dropout_may_be_an_array_without_dimensions(iris: Data) -> None:
    models = [MLPClassifier((4, 4), dropout=rate, max_iter=2, random_state=0).fit(*iris) for rate in (0.2, np.array(0.2))]
    assert equal(*models)


# dtype, n_threads


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32")])
def test_dtype_float32_computes_in_float32(iris: Data, dtype: Any) -> None:
    X, y = iris
    forced = MLPClassifier((4,), dtype=dtype, max_iter=4, random_state=0).fit(X, y)
    native = MLPClassifier((4,), max_iter=4, random_state=0).fit(X.astype(np.float32), y)
    assert equal(forced, native)
    assert forced.predict_proba(X).dtype == np.float32


def test_dtype_float64_computes_in_float64(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((4,), dtype="float64", max_iter=4, random_state=0).fit(X.astype(np.float32), y)
    assert clf.coefs_[0].dtype == np.float64
    assert clf.predict_proba(X.astype(np.float32)).dtype == np.float64


def test_float64_rows_of_a_float32_model_are_not_rounded(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((4,), "tanh", max_iter=20, random_state=0).fit(X.astype(np.float32), y)
    hidden = np.tanh(X @ clf.coefs_[0].astype(float) + clf.intercepts_[0])
    scores = hidden @ clf.coefs_[1].astype(float) + clf.intercepts_[1]
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(clf.predict_proba(X), expected, rtol=1e-12)


def test_number_of_threads_does_not_change_the_model() -> None:
    X, y = make_classification(n_samples=600, n_features=80, random_state=0)
    one, two = (MLPClassifier((150,), max_iter=2, n_threads=n, random_state=0).fit(X, y) for n in (1, 2))
    assert distance(one, two) < 1e-12
