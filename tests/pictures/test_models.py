"""The view of a model that pictures and diagnoses share."""

from __future__ import annotations

import numpy as np
import pytest
from layer_networks import HIDDEN, build, rows

import fastnet as fn
from fastnet._models import model_view

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PAIRS = [
    ("identity", "squared_error"),
    ("identity", "absolute_error"),
    ("identity", "huber"),
    ("tanh", "squared_error"),
    ("sigmoid", "binary_cross_entropy"),
    ("sigmoid", "squared_error"),
    ("softmax", "cross_entropy"),
    ("softmax", "squared_error"),
    ("exponential", "poisson"),
]


@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_passes_are_the_engines(output, loss, rng):
    layers = [fn.Dense(5, "tanh"), fn.Dense(4, fn.LeakyReLU(0.2)), fn.Dense(3, output)]
    net = fn.Network(layers, 6, dtype="float64", random_state=1)
    X = rng.normal(size=(17, 6))
    y = rng.integers(3, size=17) if loss == "cross_entropy" else rng.uniform(0.1, 0.9, size=(17, 3))
    view = model_view(net)
    Z, A = view.forward_pass(X)
    for mine, cores in zip(A, net.activations(X), strict=True):
        np.testing.assert_allclose(mine, cores, rtol=1e-12, atol=1e-14)
    J, dZ_L = view.output_gradient(Z[-1], y, loss)
    G = view.backward_pass(Z, A, dZ_L)
    expected_J, expected = net.loss_and_grad(X, y, loss=loss)
    assert J == pytest.approx(expected_J, rel=1e-12)
    for mine, cores in zip(G.dW + G.db, expected.weights + expected.biases, strict=True):
        np.testing.assert_allclose(mine, cores, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("options", [{}, {"ensemble": "packed"}, {"ensemble": "batch", "ensemble_loss": "mean"}])
@pytest.mark.parametrize(("output", "loss"), [("identity", "huber"), ("softmax", "cross_entropy")])
def test_passes_through_any_layers_are_the_engines(hidden, options, output, loss, rng):
    net = build(hidden, output, 3, n_members=3 if options else 1, **options)
    X = rows(hidden, 17, rng)
    y = rng.integers(3, size=17) if loss == "cross_entropy" else rng.uniform(size=(17, 3))
    view = model_view(net)
    layers = view.layer_outputs(X)
    np.testing.assert_allclose(layers[-1], net.forward(X), rtol=1e-10, atol=1e-13)
    for mine, engines in zip(layers[:-1], net.activations(X)[1:-1], strict=True):
        np.testing.assert_allclose(mine, engines.reshape(mine.shape), rtol=1e-10, atol=1e-13)
    Z, A = view.forward_pass(X)
    J, dZ_L = view.output_gradient(Z[-1], y, loss)
    G = view.backward_pass(Z, A, dZ_L)
    expected_J, expected = net.loss_and_grad(X, y, loss=loss)
    assert J == pytest.approx(expected_J, rel=1e-12)
    for name, gradient in net.views(expected.flat).items():
        np.testing.assert_allclose(G.parameters[name], gradient, rtol=1e-8, atol=1e-12, err_msg=name)
    assert len(G.dW) == len(expected.weights) and len(G.db) == len(expected.biases)


def test_parts_are_operations_with_parameters_or_an_activation():
    """Edges of bins are not trained; a branch is not the only path, the layers around it are."""
    layers = [
        fn.Concat([fn.NumericEmbedding("piecewise_linear", bins=[[0, 1]], columns=[0])], [fn.Columns([1]), fn.Dense(2, "tanh")]),
        fn.Residual([fn.LayerNorm()], "relu"),
        fn.Dense(1, "identity"),
    ]
    parts = model_view(fn.Network(layers, 2, random_state=0)).parts
    assert [(part.path, part.label, part.weight, part.only_way) for part in parts] == [
        ("1.1.1.linear", "identity", "1.1.1.linear.W", False),
        ("1.2.2", "tanh", "1.2.2.W", False),
        ("2.1", "norm", "2.1.gain", False),
        ("2", "relu", None, True),
        ("3", "identity", "3.W", True),
    ]


def test_inputs_whose_size_matters():
    """Category codes and numbers that are sorted into bins do not count, unless something else reads them too."""
    columns = fn.Concat(
        [fn.CategoryEmbedding([3], columns=[0])],
        [fn.NumericEmbedding("piecewise_linear", bins=[[0, 1]] * 2, columns=[1, 2])],
        [fn.Columns([2, 3]), fn.Dense(1)],
    )
    view = model_view(fn.Network([columns, fn.Dense(1)], 5, n_members=2, random_state=0))
    assert view.measured_inputs.tolist() == [False, False, True, True, False]
    assert all(model_view(fn.Network([fn.Dense(1)], 5)).measured_inputs)


def test_network_is_viewed_without_copies(make_network):
    net = make_network((4, 3, 2))
    view = model_view(net)
    assert view.sizes == (4, 3, 2)
    assert all(np.shares_memory(mine, theirs) for mine, theirs in zip(view.weights, net.weights, strict=True))
    assert view.loss.name == "cross_entropy"
    assert view.feature_names is None


@pytest.mark.parametrize("library", ["fastnet.estimators", "sklearn.neural_network"])
def test_classifier(library, planar):
    X, y = planar
    labels = np.array(["no", "yes"])[y]
    module = pytest.importorskip(library)
    model = module.MLPClassifier((5,), activation="logistic", max_iter=3, random_state=0).fit(X, labels)
    view = model_view(model)
    assert [a.name for a in view.activations] == ["sigmoid", "sigmoid"]
    assert view.output_names == ("yes",)
    assert view.loss.name == "binary_cross_entropy"
    assert view.learning_rate == 0.001 and view.has_normalised_steps
    np.testing.assert_array_equal(view.targets(labels), y[:, None])
    np.testing.assert_allclose(view.forward_pass(X)[1][-1][:, 0], model.predict_proba(X)[:, 1], rtol=1e-6)
    with pytest.raises(ValueError, match="maybe"):
        view.targets(["maybe"])


@pytest.mark.parametrize("library", ["fastnet.estimators", "sklearn.neural_network"])
def test_multiclass_names_and_sparse_rows(library, digits):
    from scipy.sparse import csr_array

    X, y = digits
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"pixel {number}" for number in range(64)])
    module = pytest.importorskip(library)
    model = module.MLPClassifier((5,), max_iter=2, random_state=0).fit(frame, y)
    view = model_view(model)
    assert view.feature_names[63] == "pixel 63"
    assert view.output_names == tuple("0123456789")
    np.testing.assert_allclose(view.forward_pass(csr_array(X))[1][-1], model.predict_proba(frame), rtol=1e-6, atol=1e-12)


def test_regressor_losses(rng):
    estimators = pytest.importorskip("fastnet.estimators")
    X, y = rng.normal(size=(40, 3)), rng.uniform(size=40)
    for options, name, parameter in [
        ({}, "squared_error", 0.0),
        ({"loss": "huber", "huber_delta": 0.3}, "huber", 0.3),
        ({"loss": "poisson"}, "poisson", 0.0),
    ]:
        model = estimators.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, **options).fit(X, y)
        view = model_view(model)
        assert (view.loss.name, view.loss.parameter) == (name, parameter)
        np.testing.assert_allclose(view.forward_pass(X)[1][-1][:, 0], model.predict(X), rtol=1e-6)
    model = estimators.MLPRegressor(loss="quantile", quantile=0.9, hidden_layer_sizes=(4,), max_iter=2).fit(X, y)
    np.testing.assert_allclose(model_view(model).loss.per_output(1), [0.9])


def test_activation_per_layer(planar):
    estimators = pytest.importorskip("fastnet.estimators")
    model = estimators.MLPClassifier((4, 3), activation=["tanh", fn.LeakyReLU(0.3)], max_iter=2).fit(*planar)
    names = [(a.name, a.parameter) for a in model_view(model).activations]
    assert names == [("tanh", 0.0), ("leaky_relu", 0.3), ("sigmoid", 0.0)]


def test_single_datapoint_is_one_row(make_network):
    assert model_view(make_network((4, 3, 2))).inputs([1, 2, 3, 4]).shape == (1, 4)


def test_wrong_number_of_features(make_network):
    with pytest.raises(ValueError, match=r"shape \(5, 3\).*takes 4 features"):
        model_view(make_network((4, 3, 2))).inputs(np.zeros((5, 3)))


def test_what_is_not_a_model(planar):
    from sklearn.exceptions import NotFittedError
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline

    with pytest.raises(NotFittedError, match="Call fit"):
        model_view(MLPClassifier())
    with pytest.raises(TypeError, match="last step"):
        model_view(make_pipeline(MLPClassifier()))
    with pytest.raises(TypeError, match="got LogisticRegression"):
        model_view(LogisticRegression())


def test_estimators_of_tables_are_told_to_give_a_network(rng):
    pytest.importorskip("sklearn")
    X = rng.normal(size=(60, 3))
    model = fn.TabularRegressor(preset="fast", n_epochs=1, random_state=0).fit(X, X.sum(1))
    with pytest.raises(TypeError, match=r"a TabularRegressor, .* model.networks_\[0\], .* model.preprocessor_.transform\(X\)"):
        model_view(model)
    view = model_view(model.networks_[0])
    assert view.forward_pass(model.preprocessor_.transform(X))[1][-1].shape[0] == 60
