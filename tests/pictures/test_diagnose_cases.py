"""Networks with a deliberate fault, each of which is found, and healthy ones, in which nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import spread
from layer_networks import HIDDEN, N_IN, build, rows

import fastnet as fn
from fastnet.activations import ACTIVATIONS
from fastnet.inspection import diagnose
from fastnet.losses import LOSSES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def kinds(diagnosis):
    return {finding.kind for finding in diagnosis.findings}


def finding(diagnosis, kind):
    (found,) = [found for found in diagnosis.findings if found.kind == kind]
    return found


@pytest.fixture(scope="module")
def tumours():
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(return_X_y=True)


@pytest.fixture(scope="module")
def diabetes():
    from sklearn.datasets import load_diabetes

    return load_diabetes(return_X_y=True)


def standardised(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


@pytest.mark.parametrize(
    ("activation", "hidden"),
    spread(3, ["relu", "tanh", "sigmoid", "leaky_relu", "gelu"], [(64,), (100, 50), (32, 32, 32)]),
)
def test_healthy_on_digits(make_network, digits, activation, hidden):
    X, y = digits
    net = make_network((64, *hidden, 10), activation)
    assert diagnose(net, X, y).healthy, "before training"
    rate = 5e-3 if activation == "sigmoid" else 1e-3
    net.fit(X, y, loss="cross_entropy", optimizer=fn.Adam(rate), batch_size=32, epochs=15, random_state=0)
    assert np.mean(net.forward(X).argmax(axis=1) == y) > 0.9
    assert kinds(diagnose(net, X, y)) == set()
    assert kinds(diagnose(net, X)) == set(), "without targets"


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_healthy_on_breast_cancer(make_network, tumours, activation):
    X, y = standardised(tumours[0]), tumours[1]
    net = make_network((30, 32, 1), activation, output="sigmoid")
    net.fit(X, y, loss="binary_cross_entropy", optimizer="adam", batch_size=32, epochs=60, random_state=0)
    assert np.mean((net.forward(X).ravel() > 0.5) == y) > 0.97
    assert kinds(diagnose(net, X, y)) == set()


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("scaled", [True, False])
def test_healthy_on_diabetes(make_network, diabetes, activation, scaled):
    """Unscaled, the features are about 0.05 and the targets about 150: not ideal, but nothing that stops learning."""
    X, y = diabetes
    X, y = (standardised(X), standardised(y)) if scaled else (X, y)
    net = make_network((10, 50, 1), activation, output="identity")
    net.fit(X, y, loss="squared_error", optimizer="adam", batch_size=32, epochs=40, random_state=0)
    assert kinds(diagnose(net, X, y)) == set()


@pytest.mark.parametrize("library", ["fastnet.estimators", "sklearn.neural_network"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_healthy_estimators(tumours, diabetes, library, solver):
    module = pytest.importorskip(library)
    X, y = standardised(tumours[0]), np.array(["bad", "good"])[tumours[1]]
    classifier = module.MLPClassifier((20,), solver=solver, max_iter=40, random_state=0).fit(X, y)
    assert kinds(diagnose(classifier, X, y)) == set()
    X, y = standardised(diabetes[0]), standardised(diabetes[1])
    regressor = module.MLPRegressor(hidden_layer_sizes=(20,), solver=solver, max_iter=40, random_state=0).fit(X, y)
    assert kinds(diagnose(regressor, X, y)) == set()


def test_perceptron_is_healthy(planar):
    net = fn.Network([fn.Dense(1, "sigmoid")], 2, random_state=0)
    net.fit(*planar, loss="binary_cross_entropy", optimizer=fn.Adam(0.1), epochs=20, random_state=0)
    assert diagnose(net, *planar).healthy


def test_deep_sigmoid_network_whose_gradient_vanishes(make_network, digits):
    net = make_network((64, *[32] * 12, 10), "sigmoid")
    net.fit(*digits, loss="cross_entropy", optimizer=fn.SGD(0.1), epochs=2, random_state=0)
    for diagnosis in (diagnose(net, *digits), diagnose(net, digits[0])):
        assert kinds(diagnosis) == {"vanishing_gradient", "lost_signal"}
        found = finding(diagnosis, "vanishing_gradient")
        assert found.where == "layer 1"
        assert "relu" in found.change and "0.25" in found.meaning


def test_same_depth_of_relu_is_healthy(make_network, digits):
    assert kinds(diagnose(make_network((64, *[64] * 8, 10), "relu"), *digits)) == set()


@pytest.mark.parametrize("rate", [1.0, 10.0])
def test_relu_units_that_died_from_a_too_large_learning_rate(make_network, digits, rate):
    net = make_network((64, 64, 64, 10), "relu")
    net.fit(*digits, loss="cross_entropy", optimizer=fn.SGD(rate), batch_size=32, epochs=3, random_state=0)
    diagnosis = diagnose(net, *digits)
    assert kinds(diagnosis) == {"dead_units"}
    assert max(layer.dead_share or 0 for layer in diagnosis.layers) > 0.5
    assert "leaky_relu" in finding(diagnosis, "dead_units").change


def test_leaky_relu_survives_the_same_learning_rate(make_network, digits):
    net = make_network((64, 64, 64, 10), "leaky_relu")
    net.fit(*digits, loss="cross_entropy", optimizer=fn.SGD(1.0), batch_size=32, epochs=3, random_state=0)
    assert "dead_units" not in kinds(diagnose(net, *digits))


@pytest.mark.parametrize("activation", [name for name, g in ACTIVATIONS.items() if g.initializer != "glorot_uniform"])
def test_units_of_the_relu_family_die(activation, rng):
    """All but those of the leaky ReLU."""
    net = fn.Network([fn.Dense(8, activation), fn.Dense(2, "identity")], N_IN, random_state=0)
    net.biases[0][:4] = -100
    assert ("dead_units" in kinds(diagnose(net, rng.normal(size=(100, N_IN))))) == (activation != "leaky_relu")


def test_share_of_dead_units_is_counted(make_network, digits):
    net = make_network((64, 10, 10), "relu", seed=3)
    alive = diagnose(net, *digits).layers[0].dead_share
    net.biases[0][:4] = -1000
    diagnosis = diagnose(net, *digits)
    assert alive == 0
    assert diagnosis.layers[0].dead_share == pytest.approx(0.4)
    assert "40% of the 10 relu units of layer 1 are off on all 1000 rows" in finding(diagnosis, "dead_units").what


@pytest.mark.parametrize("activation", ["elu", "gelu", "silu", "softplus"])
def test_smooth_relatives_of_relu_die_too(make_network, digits, activation):
    net = make_network((64, 10, 10), activation)
    net.biases[0][:] = -1000
    assert "dead_units" in kinds(diagnose(net, *digits))


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_unscaled_inputs(make_network, tumours, activation):
    X, y = tumours
    net = make_network((30, 32, 1), activation, output="sigmoid")
    net.fit(X, y, loss="binary_cross_entropy", optimizer="adam", epochs=3, random_state=0)
    diagnosis = diagnose(net, X, y)
    assert kinds(diagnosis) == {"unscaled_inputs", "saturated_units"}
    assert diagnosis.findings[0].kind == "unscaled_inputs", "the root comes first"
    assert "StandardScaler" in diagnosis.findings[0].change
    assert "feature 23" in diagnosis.findings[0].where


def test_unscaled_inputs_are_named(tumours):
    from sklearn.neural_network import MLPClassifier

    pandas = pytest.importorskip("pandas")
    X, y = tumours
    frame = pandas.DataFrame(X).rename(columns=lambda number: "worst area" if number == 23 else f"f{number}")
    model = MLPClassifier((5,), max_iter=2, random_state=0).fit(frame, y)
    assert "the worst is worst area" in diagnose(model, frame, y).findings[0].where


def test_inputs_that_are_too_small(make_network, digits):
    diagnosis = diagnose(make_network((64, 20, 10)), digits[0] * 1e-4, digits[1])
    assert "unscaled_inputs" in kinds(diagnosis)


def test_unscaled_targets(make_network, diabetes):
    X, y = diabetes
    net = make_network((10, 20, 1), output="identity")
    assert kinds(diagnose(net, X, 1e4 * y)) == {"unscaled_targets"}
    assert kinds(diagnose(net, X, y)) == set()


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss not in ("binary_cross_entropy", "cross_entropy", "poisson")])
def test_unscaled_targets_of_every_loss_of_values(make_network, diabetes, loss):
    X, y = diabetes
    assert kinds(diagnose(make_network((10, 20, 1), output="identity"), X, 1e4 * y, loss=loss)) == {"unscaled_targets"}


@pytest.mark.parametrize(
    ("mean", "deviation", "meaning"),
    [
        (0, 1, None),
        (2, 1, None),
        (-20, 10, None),
        (125, 7, "has to reach the mean"),
        (-4, 1, "has to reach the mean"),
        (0, 500, "as large as the targets"),
        (0.5, 0.03, "smaller than tol"),
        (0, 0.1, "smaller than tol"),
        (1000, 0, None),
    ],
)
def test_scale_of_the_targets(make_network, diabetes, mean, deviation, meaning):
    X, y = standardised(diabetes[0]), deviation * standardised(diabetes[1]) + mean
    found = [finding for finding in diagnose(make_network((10, 20, 1), output="identity"), X, y).findings]
    assert [finding.kind for finding in found] == (["unscaled_targets"] if meaning else [])
    if meaning:
        assert meaning in found[0].meaning
        assert found[0].where == "y"
        assert "scale_target=True" in found[0].change
        assert f"standard deviation {deviation:.3g}." in found[0].what


def test_scale_of_one_of_several_targets(make_network, diabetes):
    X, y = standardised(diabetes[0]), standardised(diabetes[1])
    found = diagnose(make_network((10, 20, 2), output="identity"), X, np.c_[y, 7 * y + 125])
    assert finding(found, "unscaled_targets").where == "column 1 of y"


@pytest.fixture(scope="module")
def friedman():
    from sklearn.datasets import make_friedman1

    X, y = make_friedman1(1500, noise=1.0, random_state=0)
    return standardised(X), standardised(y)


TARGETS = [
    (125, 7, {"unscaled_targets", "worse_than_constant"}),
    (0.5, 0.03, {"unscaled_targets", "large_tol", "worse_than_constant"}),
    (0, 1, set()),
]


@pytest.mark.parametrize("library", ["fastnet.estimators", "sklearn.neural_network"])
@pytest.mark.parametrize(("mean", "deviation", "expected"), TARGETS)
def test_regressors_of_targets_as_they_are(friedman, library, mean, deviation, expected):
    module = pytest.importorskip(library)
    X, y = friedman[0], deviation * friedman[1] + mean
    model = module.MLPRegressor(random_state=0).fit(X, y)
    diagnosis = diagnose(model, X, y)
    assert kinds(diagnosis) == expected
    assert (model.score(X, y) < 0) == ("worse_than_constant" in expected)
    targets = diagnosis.inputs.targets
    rows = np.linspace(0, len(X) - 1, 1000).astype(int)
    assert 1 - targets.model_loss / targets.constant_loss == pytest.approx(model.score(X[rows], y[rows]))


@pytest.mark.parametrize(("mean", "deviation", "expected"), TARGETS)
def test_scaled_targets_are_healthy(friedman, mean, deviation, expected):
    X, y = friedman[0], deviation * friedman[1] + mean
    model = fn.MLPRegressor(scale_target=True, random_state=0).fit(X, y)
    assert diagnose(model, X, y).healthy
    assert model.score(X, y) > 0.9


def test_a_constant_is_the_best_of_its_loss(friedman):
    """The mean, the median or the quantiles: whatever the loss is, a constant model is as good as the best constant."""
    X, y = friedman
    for options in ({}, {"loss": "absolute_error"}, {"loss": "quantile", "quantile": [0.1, 0.9]}, {"loss": "poisson"}):
        target = np.abs(y) if options.get("loss") == "poisson" else y
        model = fn.MLPRegressor(hidden_layer_sizes=(3,), random_state=0, max_iter=12, **options).fit(X, target)
        levels = options.get("quantile", [0.5])
        best = np.mean(target) if "loss" not in options or options["loss"] == "poisson" else np.quantile(target, levels)
        rows = np.linspace(0, len(X) - 1, 1000).astype(int)
        targets = diagnose(model, X, target).inputs.targets
        model.coefs_ = [0 * coef for coef in model.coefs_]
        model.intercepts_ = [np.zeros(3), np.log(np.ravel(best)) if options.get("loss") == "poisson" else np.ravel(best)]
        constant = diagnose(model, X[rows], target[rows]).inputs.targets
        assert constant.model_loss == pytest.approx(targets.constant_loss, rel=1e-2)
        assert constant.model_loss >= targets.constant_loss * (1 - 1e-12)


def test_fit_is_judged_of_trained_regressors_only(friedman):
    X, y = friedman
    model = fn.MLPRegressor(hidden_layer_sizes=(20,), max_iter=9, learning_rate_init=1e-6, random_state=0)
    assert diagnose(model.fit(X, y), X, y).healthy, "nine epochs are too few to judge"
    assert model.score(X, y) < 0
    assert kinds(diagnose(model.set_params(max_iter=10).fit(X, y), X, y)) == {"worse_than_constant"}
    network = fn.Network.from_parameters([fn.Dense(20, "relu"), fn.Dense(1, "identity")], model.coefs_, model.intercepts_)
    assert diagnose(network, X, y).healthy, "a network does not know whether it has been trained"
    assert diagnose(model, X).healthy, "without targets"


def test_tol_is_judged_where_it_ended_training(friedman):
    X, y = friedman
    options = {"hidden_layer_sizes": (20,), "learning_rate_init": 0.01, "tol": 0.05, "n_iter_no_change": 5, "random_state": 0}
    model = fn.MLPRegressor(**options).fit(X, y)
    found = finding(diagnose(model, X, y), "large_tol")
    assert found.what.startswith("tol is 0.05, the loss of a constant prediction 0.")
    for change in ({"early_stopping": True}, {"max_iter": 8}, {"tol": 1e-4}, {"solver": "lbfgs"}):
        assert diagnose(fn.MLPRegressor(**options).set_params(**change).fit(X, y), X, y).healthy
    watching = fn.MLPRegressor(early_stopping=True, scoring="loss", **options).fit(X, y)
    assert kinds(diagnose(watching, X, y)) == {"large_tol"}


def test_exploding_gradients(make_network, digits):
    net = make_network((64, *[32] * 8, 10), "relu")
    net.params[:] *= 3
    for diagnosis in (diagnose(net, *digits), diagnose(net, digits[0])):
        assert kinds(diagnosis) == {"exploding_gradient"}
        assert "max_grad_norm" in finding(diagnosis, "exploding_gradient").change


def test_updates_as_large_as_the_weights(make_network, digits):
    net = make_network((64, 20, 10))
    assert kinds(diagnose(net, *digits, learning_rate=0.1)) == set()
    diagnosis = diagnose(net, *digits, learning_rate=500.0)
    assert kinds(diagnosis) == {"large_updates"}
    assert diagnosis.layers[0].update_ratio == pytest.approx(
        500 * diagnosis.layers[0].gradient_scale / diagnosis.layers[0].weight_scale
    )


def test_learning_rate_of_an_estimator_is_known(digits):
    from sklearn.neural_network import MLPClassifier

    X, y = digits
    model = MLPClassifier((20,), max_iter=2, random_state=0).fit(X, y)
    layer = diagnose(model, X, y).layers[0]
    assert layer.update_ratio == pytest.approx(1e-3 / layer.weight_scale), "Adam's steps are as large as its learning rate"
    model.learning_rate_init = layer.weight_scale
    assert kinds(diagnose(model, X, y)) == {"large_updates"}


def test_units_that_are_all_alike(make_network, digits):
    net = make_network((64, 20, 10))
    net.params[:] = 0.01
    assert "identical_units" in kinds(diagnose(net, *digits))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(make_network, digits, value):
    net = make_network((64, 20, 10), "relu")
    net.weights[1][0, 0] = value
    for diagnosis in (diagnose(net, *digits), diagnose(net, digits[0])):
        assert kinds(diagnosis) == {"not_finite"}
        assert finding(diagnosis, "not_finite").where == "layer 2"


def test_few_rows_say_nothing_about_dead_units(make_network, digits):
    net = make_network((64, 20, 10), "relu")
    net.biases[0][:] = -1000
    diagnosis = diagnose(net, digits[0][:19], digits[1][:19])
    assert diagnosis.layers[0].dead_share is None
    assert diagnose(net, digits[0][:20], digits[1][:20]).layers[0].dead_share == 1.0


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("options", [{}, {"n_members": 3, "ensemble": "batch"}, {"n_members": 3, "ensemble": "packed"}])
def test_healthy_with_any_layers(hidden, options, rng):
    net = fn.Network([*HIDDEN[hidden], fn.Dense(2, "identity")], N_IN, random_state=0, **options)
    X = rows(hidden, 200, rng)
    diagnosis = diagnose(net, X, rng.normal(size=(200, 2)), learning_rate=1e-3)
    assert kinds(diagnosis) == set()
    assert kinds(diagnose(net, X)) == set(), "without targets"
    assert len(repr(diagnosis).splitlines()) == len(diagnosis.layers) + 4


def test_dead_units_within_a_residual_layer(rng):
    residual = fn.Residual([fn.Dense(8), fn.Dense(6, "identity")])
    net = fn.Network([fn.Dense(6, "tanh"), residual, fn.Dense(1)], N_IN, random_state=0)
    net.parameters["2.1.b"][:4] = -100
    found = finding(diagnose(net, rng.normal(size=(100, N_IN))), "dead_units")
    assert found.where == "layer 2.1"
    assert found.what.startswith("50% of the 8 relu units of layer 2.1 are off")


def test_dead_units_after_a_residual_layer(rng):
    net = fn.Network([fn.Residual([fn.Dense(N_IN, "identity")], "relu"), fn.Dense(1)], N_IN, random_state=0)
    net.parameters["1.1.b"][:] = -100
    assert finding(diagnose(net, rng.normal(size=(100, N_IN))), "dead_units").where == "layer 1"


def test_a_branch_that_begins_with_nothing_is_no_fault(rng):
    """Residual layers whose last weights are 0 at first pass the signal and its gradient beside them."""
    net = fn.Network([fn.Residual([fn.Dense(8, "tanh"), fn.Dense(N_IN, "identity")]), fn.Dense(1)], N_IN, random_state=0)
    net.parameters["1.2.W"][:] = 0
    assert kinds(diagnose(net, rng.normal(size=(100, N_IN)))) <= {"identical_units"}


def test_a_gradient_that_vanishes_between_other_layers(rng):
    hidden = [layer for _ in range(9) for layer in (fn.Dense(20, "sigmoid"), fn.Scale())]
    net = fn.Network([*hidden, fn.Dense(1)], N_IN, random_state=0)
    assert finding(diagnose(net, rng.normal(size=(100, N_IN))), "vanishing_gradient").where == "layer 1"


def test_codes_need_no_scale(rng):
    net = fn.Network([fn.CategoryEmbedding([1000] * N_IN), fn.Dense(1)], N_IN, random_state=0)
    diagnosis = diagnose(net, rng.integers(0, 1000, (100, N_IN)))
    assert diagnosis.healthy and diagnosis.inputs.scales.size == 0


def test_parameters_that_are_not_finite_in_any_layer(rng):
    net = build("norm")
    net.parameters["3.gain"][0] = np.nan
    assert finding(diagnose(net, rng.normal(size=(100, N_IN))), "not_finite").where == "layer 3 and after"
