"""What a network must be able to learn: the lecture's claims, equality with linear models, and real data."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
EXCLUSIVE = np.array([0, 1, 1, 0])


@pytest.mark.parametrize("seed", range(5))
def test_a_perceptron_cannot_learn_xor(seed):
    net = fn.Network([fn.Dense(1, "sigmoid")], 2, random_state=seed)
    net.fit(XOR, EXCLUSIVE, optimizer=fn.Adam(0.05), batch_size=4, epochs=1000, random_state=seed)
    assert (net.predict(XOR) == EXCLUSIVE).mean() <= 0.75
    assert net.loss(XOR, EXCLUSIVE) >= np.log(2) - 1e-6  # the best it can do is to predict 1/2 always


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "leaky_relu"])
def test_one_hidden_layer_learns_xor(activation, dtype):
    net = fn.Network([fn.Dense(8, activation), fn.Dense(1, "sigmoid")], 2, dtype=dtype, random_state=1)
    net.fit(XOR, EXCLUSIVE, optimizer=fn.Adam(0.05), batch_size=4, epochs=1500, random_state=0)
    assert (net.predict(XOR) == EXCLUSIVE).mean() == 1.0
    assert net.loss(XOR, EXCLUSIVE) < 0.1


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_universal_approximation(activation, dimensions):
    """The error on a fixed smooth target falls as units are added (Cybenko 1989; Hornik, Stinchcombe & White 1989)."""
    axis = np.linspace(-1, 1, 120 if dimensions == 1 else 16)
    X = np.stack(np.meshgrid(*[axis] * dimensions), axis=-1).reshape(-1, dimensions)
    y = np.sin(6 * X[:, 0]) + (0.5 * np.cos(7 * X[:, 1]) if dimensions == 2 else 0.3 * np.cos(15 * X[:, 0]))

    def error(n_units: int, seed: int) -> float:
        rng = np.random.default_rng(seed)
        layers = [fn.Dense(n_units, activation), fn.Dense(1, "identity", initializer="zeros")]
        net = fn.Network(layers, dimensions, dtype="float64")
        net.weights[0][:] = rng.normal(size=(dimensions, n_units)) * (16 if activation == "sigmoid" else 8)
        net.biases[0][:] = -(net.weights[0] * rng.uniform(-1, 1, (dimensions, n_units))).sum(axis=0)  # steepest inside the domain
        net.fit(X, y, optimizer=fn.LBFGS(tol=1e-9, ftol=1e-12), epochs=150)
        return np.sqrt(np.mean((net.predict(X) - y) ** 2))

    # The end of L-BFGS depends on the last bits of the gradient; a median over random networks does not.
    errors = [np.median([error(n_units, seed) for seed in range(5)]) for n_units in (4, 16, 64, 256)]
    assert all(later < 1.05 * earlier for earlier, later in zip(errors, errors[1:], strict=False)), errors
    assert errors[-1] < 0.2 * errors[0], errors


@pytest.fixture(scope="module")
def sklearn():
    return pytest.importorskip("sklearn")


def load(name):
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")(return_X_y=True)


def standardised(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_one_linear_layer_is_linear_regression(sklearn, optimizer):
    from sklearn.linear_model import LinearRegression

    X, y = load("diabetes")
    X, y = standardised(X), standardised(y)
    model = LinearRegression().fit(X, y)
    net = fn.Network([fn.Dense(1, "identity")], X.shape[1], dtype="float64", random_state=0)
    if optimizer == "lbfgs":
        net.fit(X, y, optimizer=fn.LBFGS(tol=1e-10, ftol=0), epochs=2000)
    else:
        net.fit(X, y, optimizer=fn.Adam(fn.Cosine(0.02)), batch_size=len(X), epochs=20_000)
    np.testing.assert_allclose(net.weights[0][:, 0], model.coef_, atol=1e-4)
    assert net.biases[0][0] == pytest.approx(model.intercept_, abs=1e-4)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_one_sigmoid_is_logistic_regression(sklearn, optimizer):
    from sklearn.linear_model import LogisticRegression

    X, y = load("breast_cancer")
    X = standardised(X)
    C = 1.0  # scikit-learn minimises ||w||^2 / 2 + C sum of losses, that is mean loss + ||w||^2 / (2 C m)
    model = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(X, y)
    net = fn.Network([fn.Dense(1, "sigmoid")], X.shape[1], dtype="float64", random_state=0)
    l2 = 1 / (C * len(X))
    if optimizer == "lbfgs":
        net.fit(X, y, optimizer=fn.LBFGS(tol=1e-10, ftol=0), epochs=5000, l2=l2)
    else:
        net.fit(X, y, optimizer=fn.Adam(fn.Cosine(0.02)), batch_size=len(X), epochs=10_000, l2=l2)
    np.testing.assert_allclose(net.weights[0][:, 0], model.coef_[0], atol=1e-4)
    assert net.biases[0][0] == pytest.approx(model.intercept_[0], abs=1e-4)


def hold_out(name, *, classifies=True):
    """Standardised training data, and a fixed quarter for testing."""
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    X, y = load(name)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=42, stratify=y if classifies else None)
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), scaler.transform(X_test), y, y_test


def test_digits(sklearn, dtype):
    X, X_test, y, y_test = hold_out("digits")
    net = fn.Network([fn.Dense(128, "relu"), fn.Dense(10, "softmax")], 64, dtype=dtype, random_state=0)
    net.fit(X, y, learning_rate=fn.Cosine(3e-3), epochs=50, l2=1e-3, random_state=0)
    assert (net.predict(X_test) == y_test).mean() > 0.97


def test_breast_cancer(sklearn, dtype):
    X, X_test, y, y_test = hold_out("breast_cancer")
    net = fn.Network([fn.Dense(16, "tanh"), fn.Dense(1, "sigmoid")], 30, dtype=dtype, random_state=0)
    net.fit(X, y, learning_rate=fn.Cosine(3e-3), epochs=60, l2=1e-2, random_state=0)
    assert (net.predict(X_test) == y_test).mean() > 0.96


def test_diabetes(sklearn, dtype):
    from sklearn.linear_model import RidgeCV
    from sklearn.metrics import r2_score

    X, X_test, y, y_test = hold_out("diabetes", classifies=False)
    ridge = RidgeCV(np.logspace(-2, 3, 30)).fit(X, y)
    net = fn.Network([fn.Dense(16, "tanh"), fn.Dense(1, "identity")], 10, dtype=dtype, random_state=0)
    net.fit(X, (y - y.mean()) / y.std(), learning_rate=fn.Cosine(3e-3), epochs=100, l2=5e-2, random_state=0)
    score = r2_score(y_test, net.predict(X_test) * y.std() + y.mean())
    assert score > ridge.score(X_test, y_test) - 0.02
