"""The network: parameters and their views, forward in all its forms, predictions, copies, summaries, and what it refuses."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import reference
import scipy.sparse
from helpers import HIDDEN, RTOL, distance, label, network, reference_form

import fastnet as fn
from fastnet import network as network_module
from fastnet.layers import Inputs


def reference_forward(net, X):
    layers, _ = reference_form(net, fn.SquaredError())
    weights, biases = reference.unflat(net.params.astype(np.float64), net.sizes)
    return reference.forward(layers, weights, biases, np.asarray(X, np.float64))[0]


def test_parameters_are_one_vector_with_views(dtype):
    net = network([fn.Dense(5, "relu"), fn.Dense(3, "tanh"), fn.Dense(2, "softmax")], 4, dtype)
    assert net.sizes == (4, 5, 3, 2)
    assert (net.n_inputs, net.n_outputs, net.n_layers) == (4, 2, 3)
    assert net.n_params == net.params.size == 4 * 5 + 5 * 3 + 3 * 2 + 5 + 3 + 2
    assert net.params.dtype == net.dtype == dtype
    assert [W.shape for W in net.weights] == [(4, 5), (5, 3), (3, 2)]
    assert [b.shape for b in net.biases] == [(5,), (3,), (2,)]
    assert np.array_equal(net.params, np.concatenate([p.ravel() for p in net.weights + net.biases]))
    net.weights[1][0, 0] = 7
    net.biases[2][1] = 8
    assert net.params[20] == 7
    assert net.params[-1] == 8
    net.params[:] = 0
    assert all((p == 0).all() for p in net.weights + net.biases)


@pytest.mark.parametrize("n_units", [1, 3, 300, 100_000])
def test_parameters_begin_with_a_cache_line(n_units, dtype):
    kept = [network([fn.Dense(n_units)], 4, dtype) for _ in range(4)]
    assert all(net.params.__array_interface__["data"][0] % 64 == 0 for net in kept)


@pytest.mark.parametrize("activation", HIDDEN, ids=label)
@pytest.mark.parametrize("output", ["identity", "softmax", "sigmoid"])
def test_forward_and_activations_against_the_reference(activation, output, dtype, rng):
    net = network([fn.Dense(6, activation), fn.Dense(5, activation), fn.Dense(3, output)], 4, dtype)
    net.params[:] *= 0.5
    X = rng.standard_normal((9, 4)).astype(dtype)
    expected = reference_forward(net, X)
    assert distance(net.forward(X), expected[-1]) < RTOL[dtype]
    got = net.activations(X)
    assert got[0] is X
    for own, theirs in zip(got, expected, strict=True):
        assert own.dtype == dtype
        assert distance(own, theirs) < RTOL[dtype]
    for row, result in zip(X, expected[-1], strict=True):
        assert distance(net.forward(row), result) < 10 * RTOL[dtype]
        assert net.forward(row).shape == (3,)
        for own, theirs in zip(net.activations(row), got, strict=True):
            assert own.shape == theirs.shape[1:]


def test_activations_of_very_many_layers():
    net = fn.Network([fn.Dense(1, "identity") for _ in range(1100)], 1, random_state=0)
    got = net.activations(np.ones((2, 1)))
    assert len(got) == 1101
    assert np.array_equal(got[-1], net.forward(np.ones((2, 1))))


@pytest.mark.parametrize("sizes", [(1, 1), (1, 300, 1), (40, 3), (784, 256, 10), (5, 1, 5), (20, 64, 64, 64, 2)])
@pytest.mark.parametrize("m", [0, 1, 2, 31, 1000])
def test_forward_of_many_shapes(sizes, m, dtype, rng):
    net = network([*(fn.Dense(n, "relu") for n in sizes[1:-1]), fn.Dense(sizes[-1], "identity")], sizes[0], dtype, scale=0.1)
    X = rng.standard_normal((m, sizes[0])).astype(dtype)
    out = net.forward(X)
    assert out.shape == (m, sizes[-1])
    if m:
        assert distance(out, reference_forward(net, X)[-1]) < 10 * RTOL[dtype]
        assert distance(net.forward(X[0]), out[0]) < 10 * RTOL[dtype]
        assert np.array_equal(net.forward(X[:1])[0], net.forward(X[0]))


def test_forward_does_not_depend_on_the_batch(dtype, rng):
    net = network([fn.Dense(50, "gelu"), fn.Dense(10, "softmax")], 30, dtype)
    X = rng.standard_normal((500, 30)).astype(dtype)
    whole = net.forward(X)
    parts = np.concatenate([net.forward(X[i : i + k]) for i, k in ((0, 1), (1, 7), (8, 92), (100, 400))])
    assert distance(parts, whole) < RTOL[dtype]
    assert np.array_equal(net.forward(X), whole)


def test_fifty_layers(dtype, rng):
    net = fn.Network([*[fn.Dense(8, "tanh")] * 49, fn.Dense(1, "identity")], 3, dtype=dtype, random_state=0)
    X = rng.standard_normal((20, 3)).astype(dtype)
    assert distance(net.forward(X), reference_forward(net, X)[-1]) < 100 * RTOL[dtype]
    history = net.fit(X, X[:, 0], epochs=3, random_state=0)
    assert np.isfinite(history.loss).all()


def test_predict_gives_the_form_of_y(rng):
    X = rng.standard_normal((30, 4))
    net = network([fn.Dense(3, "softmax")], 4)
    assert np.array_equal(net.predict(X), net.forward(X).argmax(axis=1))
    assert net.predict(X).dtype.kind == "i"
    assert net.predict(X[0]) == net.predict(X)[0]
    net = network([fn.Dense(1, "sigmoid")], 4)
    assert np.array_equal(net.predict(X), (net.forward(X)[:, 0] > 0.5).astype(int))
    net = network([fn.Dense(2, "sigmoid")], 4)
    assert np.array_equal(net.predict(X), (net.forward(X) > 0.5).astype(int))
    for activation in ("identity", "exponential"):
        net = network([fn.Dense(1, activation)], 4)
        assert np.array_equal(net.predict(X), net.forward(X)[:, 0])
        net = network([fn.Dense(2, activation)], 4)
        assert np.array_equal(net.predict(X), net.forward(X))


def test_a_network_is_called_like_forward(rng):
    net = network([fn.Dense(3, "softmax")], 4)
    X = rng.standard_normal((5, 4))
    assert np.array_equal(net(X), net.forward(X))
    assert np.array_equal(net(X[0]), net.forward(X[0]))


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
def test_probabilities_of_classes(output, n_outputs, dtype, rng):
    if output == "softmax":
        n_outputs += 1
    net = network([fn.Dense(n_outputs, output)], 4, dtype)
    X = rng.standard_normal((30, 4))
    p = net.predict_proba(X)
    assert p.dtype == dtype
    if output == "sigmoid" and n_outputs == 1:
        assert np.array_equal(p, np.column_stack([1 - net.forward(X), net.forward(X)]))
        assert np.array_equal(p.argmax(axis=1), net.predict(X))
    else:
        assert np.array_equal(p, net.forward(X))
    np.testing.assert_allclose(net.predict_proba(X[0]), p[0], rtol=RTOL[dtype])
    np.testing.assert_allclose(net.predict_proba(scipy.sparse.csr_array(X)), p, rtol=10 * RTOL[dtype])
    with pytest.raises(ValueError, match="X holds nan"):
        net.predict_proba(np.full((1, 4), np.nan))


@pytest.mark.parametrize("output", ["identity", "exponential", "tanh"])
def test_values_are_no_probabilities(output):
    with pytest.raises(ValueError, match=f"'softmax' or 'sigmoid' outputs, got a network with '{output}': predict gives"):
        network([fn.Dense(2, output)], 4).predict_proba(np.ones((3, 4)))


WEIGHTED = pytest.mark.parametrize("weighted", [False, True])


def weights_of(m, weighted, rng):
    return rng.uniform(0, 3, m) if weighted else None


@WEIGHTED
@pytest.mark.parametrize("layer", [fn.Dense(3, "softmax"), fn.Dense(1, "sigmoid"), fn.Dense(3, "sigmoid")])
def test_score_of_classes_is_the_accuracy(layer, weighted, dtype, rng):
    metrics = pytest.importorskip("sklearn.metrics")
    net = network([layer], 4, dtype)
    X, w = rng.standard_normal((50, 4)), weights_of(50, weighted, rng)
    y = rng.integers(0, 3, 50) if layer.activation.name == "softmax" else rng.integers(0, 2, (50, layer.n_units)).squeeze()
    expected = metrics.accuracy_score(y, net.predict(X), sample_weight=w)
    assert 0 < expected < 1
    assert net.score(X, y, w) == pytest.approx(expected, rel=1e-12)
    assert net.score(scipy.sparse.csr_array(X), y, w) == pytest.approx(expected, rel=1e-12)
    assert net.score(X, net.predict(X), w) == pytest.approx(1)


def test_score_takes_rows_of_probabilities(rng):
    net = network([fn.Dense(3, "softmax")], 4)
    X, y = rng.standard_normal((50, 4)), rng.integers(0, 3, 50)
    assert net.score(X, 0.7 * np.eye(3)[y] + 0.1) == net.score(X, y)
    assert net.score(X, y.reshape(-1, 1)) == net.score(X, y)


@WEIGHTED
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("output", ["identity", "exponential", "tanh"])
def test_score_of_values_is_r2(output, n_outputs, weighted, dtype, rng):
    metrics = pytest.importorskip("sklearn.metrics")
    net = network([fn.Dense(n_outputs, output)], 4, dtype)
    X, w = rng.standard_normal((50, 4)), weights_of(50, weighted, rng)
    y = rng.uniform(0, 1, (50, n_outputs)).squeeze()
    expected = metrics.r2_score(y, net.forward(X).astype(np.float64), sample_weight=w)
    assert net.score(X, y, w) == pytest.approx(expected, rel=1e-9)


def test_score_of_large_targets_is_exact_in_float32(rng):
    """A million and a little: float32 would round the little away."""
    net = fn.Network.from_parameters([fn.Dense(1, "identity")], [np.zeros((2, 1), "f4")], [np.array([2.0**20], "f4")])
    y = 2.0**20 + np.array([-0.001, 0.001])
    assert net.score(np.zeros((2, 2)), y) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "X, y, message",
    [
        (np.ones((3, 4)), [0, 1], "y must have one entry for each of the 3 rows"),
        (np.ones((3, 4)), [0, 1, 3], "Class numbers must be integers from 0 to 2"),
        (np.ones((0, 4)), [], "X has no rows"),
        (np.ones((3, 5)), [0, 1, 2], "X has 5 features"),
        (np.full((3, 4), np.nan), [0, 1, 2], "X holds nan"),
    ],
)
def test_score_refuses(X, y, message):
    with pytest.raises(ValueError, match=message):
        network([fn.Dense(3, "softmax")], 4).score(X, y)


def test_predicting_leaves_the_network_as_it_is(rng):
    net = network([fn.Dense(5, "relu", dropout=0.5), fn.Dense(3, "softmax")], 4)
    attributes, params = set(vars(net)), net.params.copy()
    X = rng.standard_normal((9, 4))
    first = net.forward(X)
    net.predict(X), net.activations(X), net.loss(X, [0] * 9), net.loss_and_grad(X, [0] * 9, dropout_seed=1), net.summary()
    assert np.array_equal(net.forward(X), first)
    assert np.array_equal(net.params, params)
    assert set(vars(net)) == attributes


def test_from_parameters(dtype, rng):
    layers = [fn.Dense(5, "relu"), fn.Dense(3, "softmax")]
    weights = [rng.standard_normal((4, 5)).astype(dtype), rng.standard_normal((5, 3)).astype(dtype)]
    biases = [rng.standard_normal(5).astype(dtype), rng.standard_normal(3).astype(dtype)]
    net = fn.Network.from_parameters(layers, weights, biases)
    assert net.dtype == dtype
    assert all(np.array_equal(a, b) for a, b in zip(net.weights + net.biases, weights + biases, strict=True))
    weights[0][:] = 0
    assert net.weights[0].any()
    assert fn.Network.from_parameters(layers, weights, biases, dtype="float64").dtype == np.float64
    mixed = fn.Network.from_parameters(layers, [weights[0], weights[1].tolist()], biases)
    assert mixed.dtype == np.float64


@pytest.mark.parametrize(
    ("weights", "biases", "message"),
    [
        ([np.ones((4, 5))], [np.ones(5), np.ones(3)], "weights must hold one array for each of the 2 layers, got 1"),
        ([np.ones((4, 5)), np.ones((5, 2))], [np.ones(5), np.ones(3)], r"weights\[1\] must have shape \(5, 3\), got \(5, 2\)"),
        ([np.ones((4, 5)), np.ones((5, 3))], [np.ones(5), np.ones((3, 1))], r"biases\[1\] must have shape \(3,\), got \(3, 1\)"),
        ([np.ones(4), np.ones((5, 3))], [np.ones(5), np.ones(3)], r"weights\[0\] must have shape \(n_inputs, 5\), got \(4,\)"),
    ],
)
def test_from_parameters_that_do_not_fit(weights, biases, message):
    with pytest.raises(ValueError, match=message):
        fn.Network.from_parameters([fn.Dense(5), fn.Dense(3)], weights, biases)


def test_adopting_a_read_only_vector(dtype, rng):
    layers = [fn.Dense(5, "relu"), fn.Dense(2, "identity")]
    params = rng.standard_normal(4 * 5 + 5 * 2 + 5 + 2).astype(dtype)
    params.flags.writeable = False
    net = fn.Network._adopt(layers, Inputs((4,)), params)
    assert net.params is params
    X = rng.standard_normal((9, 4)).astype(dtype)
    assert distance(net.forward(X), reference_forward(net, X)[-1]) < RTOL[dtype]
    assert net.loss_and_grad(X, X[:, :2])[0] == pytest.approx(net.loss(X, X[:, :2]), rel=1e-6)
    before = params.copy()
    net.fit(X, X[:, :2], epochs=1)  # on its own copy
    assert np.array_equal(params, before)
    assert not np.array_equal(net.params, before)
    assert all(np.shares_memory(part, net.params) for part in (*net.weights, *net.biases))
    with pytest.raises(ValueError, match="params must be a contiguous vector of 37 values"):
        fn.Network._adopt(layers, Inputs((4,)), params[1:])


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_independent(clone, dtype, rng):
    net = network([fn.Dense(5, fn.LeakyReLU(0.2), dropout=0.1, initializer="he_uniform"), fn.Dense(3, "softmax")], 4, dtype)
    other = clone(net)
    X = rng.standard_normal((9, 4))
    assert other.layers == net.layers
    assert other.dtype == net.dtype
    assert np.array_equal(other.forward(X), net.forward(X))
    other.fit(X, [0, 1, 2] * 3, epochs=1)
    assert not np.array_equal(other.params, net.params)


def test_penalty_is_on_weights_only(rng):
    net = network([fn.Dense(3, "tanh"), fn.Dense(2, "identity")], 4)
    X, y = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    plain, J = net.loss(X, y), net.loss(X, y, l2=0.3)
    assert J - plain == pytest.approx(0.15 * sum((W**2).sum() for W in net.weights), rel=1e-12)


def test_summary_and_reprs():
    net = fn.Network([fn.Dense(5, fn.LeakyReLU(0.2), dropout=0.1), fn.Dense(3, "softmax")], 4)
    assert repr(net) == "<Network 4 -> 5 leaky_relu, 3 softmax; 43 parameters, float32>"
    lines = net.summary().splitlines()
    assert lines[1].split() == ["1", "5", "4", "x", "5", "leaky_relu(0.2)", "0.1", "25"]
    assert lines[2].split() == ["2", "3", "5", "x", "3", "softmax", "18"]
    assert lines[-1] == "43 parameters, float32, 172 bytes"
    html = net._repr_html_()
    assert html.count("<tr>") == 4
    assert html.startswith("<table>")
    assert "leaky_relu(0.2)" in html


def test_summary_of_rows_with_positions():
    net = fn.Network([fn.Conv2d(6, 5, padding=2), fn.MaxPool(2), fn.Flatten(), fn.Dense(10, "softmax")], input_shape=(8, 9, 1))
    rows = [line.split("  ") for line in net.summary().splitlines()[1:-1]]
    assert [[cell.strip() for cell in row if cell][:2] for row in rows] == [
        ["1 border", "12 x 13 x 1"], ["1 conv", "8 x 9 x 6"], ["2 pool", "4 x 4 x 6"], ["3 pass", "96"], ["4", "10"],
    ]  # fmt: skip


def test_dense_is_a_value():
    layer = fn.Dense(3, "relu", dropout=0.5)
    assert layer == fn.Dense(3, fn.ReLU(), initializer="he_normal", dropout=0.5)
    assert hash(layer) == hash(fn.Dense(3, "relu", dropout=0.5))
    with pytest.raises(AttributeError):
        layer.n_units = 4


@pytest.mark.parametrize("n_layers", [1, 3])
def test_a_network_too_large_for_memory_says_so(n_layers):
    huge = 2**31 - 1
    with pytest.raises(MemoryError, match=r"A network of [\d,]+ parameters needs [\d,]+ bytes, .* narrower layers"):
        fn.Network([fn.Dense(huge)] * n_layers, huge)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: fn.Dense(0), ValueError, "n_units must be at least 1, got 0"),
        (lambda: fn.Dense(-3), ValueError, "n_units must be at least 1, got -3"),
        (lambda: fn.Dense(2.5), TypeError, "n_units must be an integer, got 2.5 of type float"),
        (lambda: fn.Dense(True), TypeError, "n_units must be an integer, got the bool True"),
        (lambda: fn.Dense(2**31), ValueError, "n_units must be at most 2147483647, got 2147483648"),
        (lambda: fn.Dense(3, dropout=1.0), ValueError, "dropout must be finite and at least 0 and below 1, got 1.0"),
        (lambda: fn.Dense(3, dropout="half"), TypeError, "dropout must be a number, got 'half'"),
        (lambda: fn.Dense(3, initializer="ones"), ValueError, "Unknown initializer 'ones'"),
        (lambda: fn.Network([], 3), ValueError, "at least one layer"),
        (lambda: fn.Network([3], 3), TypeError, "Layer 1 must be a layer, got 3"),
        (lambda: fn.Network([fn.Dense(3)], 0), ValueError, "n_inputs must be at least 1, got 0"),
        (lambda: fn.Network([fn.Dense(3)], 2**31), ValueError, "n_inputs must be at most 2147483647"),
        (
            lambda: fn.Network([fn.Dense(3)], 3, dtype="float16"),
            ValueError,
            "dtype must be 'float32' or 'float64', got 'float16'",
        ),
        (lambda: fn.Network([fn.Dense(3)], 3, dtype="int"), ValueError, "dtype must be"),
        (lambda: fn.Network([fn.Dense(3)], 3, dtype="flt"), ValueError, "dtype must be"),
        (lambda: fn.Network([fn.Dense(3, "softmax"), fn.Dense(2)], 3), ValueError, "softmax is for the output layer only"),
        (lambda: fn.Network([fn.Dense(3, dropout=0.1)], 3), ValueError, "output layer must have no dropout, got 0.1"),
        (lambda: fn.Network([fn.Dense(1, "softmax")], 3), ValueError, "softmax of one unit is always 1"),
    ],
)
def test_what_cannot_be_built(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize("second", [2, 256, 257])
def test_dropout_masks_of_deep_layers_are_independent(second):
    """One row of ones through two identity layers with dropout 1/2: a quarter of 400 units is left."""
    layers = [fn.Dense(400, "identity", dropout=0.5 * (l in (1, second))) for l in range(1, second + 1)]
    net = fn.Network([*layers, fn.Dense(1, "identity")], 400, dtype="float64")
    for W in net.weights[:-1]:
        W[...] = np.eye(400)
    gradient = net.loss_and_grad(np.ones((1, 400)), [[-1e3]], dropout_seed=3)[1]
    assert 0.15 < (gradient.weights[-1] != 0).mean() < 0.35


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (2**64, ValueError), (1.5, TypeError), ("a", TypeError)])
def test_dropout_seeds_are_integers_of_64_bits(seed, error):
    net = fn.Network([fn.Dense(4, dropout=0.5), fn.Dense(1, "identity")], 3)
    assert np.isfinite(net.loss_and_grad(np.ones((2, 3)), [0, 1], dropout_seed=2**64 - 1)[0])
    with pytest.raises(error, match="dropout_seed must be"):
        net.loss_and_grad(np.ones((2, 3)), [0, 1], dropout_seed=seed)


COPIES = [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))]


class Labelled(fn.Network):
    """Takes other arguments than its base, and has a slot."""

    __slots__ = ("unit",)

    def __init__(self, names):
        self.names = names
        super().__init__([fn.Dense(len(names), "softmax")], 2, random_state=0)


@pytest.mark.parametrize("clone", COPIES, ids=["copy", "deepcopy", "pickle"])
def test_copies_keep_what_users_and_subclasses_have_set(clone):
    net = Labelled(["a", "b"])
    net.threshold, net.unit = {"a": 0.3}, "m"
    other = clone(net)
    assert type(other) is Labelled
    assert (other.names, other.threshold, other.unit) == (net.names, net.threshold, net.unit)
    assert (other.threshold is net.threshold) == (clone is copy.copy)
    assert np.array_equal(other.forward([1, 2]), net.forward([1, 2]))


def test_copies_carry_what_a_network_is_built_with_and_no_more():
    """The list of names in network.py is that of the attributes of a new network."""
    net = fn.Network([fn.Dense(1, "identity")], 2)
    assert vars(net).keys() == network_module._BUILT


def test_weights_and_biases_cannot_be_replaced():
    net = fn.Network([fn.Dense(2, "identity")], 3)
    with pytest.raises(TypeError, match="item assignment"):
        net.weights[0] = np.zeros((3, 2))
    with pytest.raises(AttributeError, match="weights"):
        net.weights = [np.zeros((3, 2))]
    net.weights[0][:] = 1
    assert net.forward([1, 1, 1]).tolist() == [3, 3]


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_network_of_read_only_buffers_trains_a_copy(optimizer):
    """Like an array from pickle 5 whose memory belongs to another process, such as Ray's."""
    buffers = []
    net = fn.Network([fn.Dense(2, "identity")], 3, random_state=0)
    data = pickle.dumps(net, protocol=5, buffer_callback=buffers.append)
    other = pickle.loads(data, buffers=[bytes(buffer) for buffer in buffers])
    assert not other.params.flags.writeable
    X = np.ones((4, 3))
    for one in (net, other):
        one.fit(X, X[:, :2], optimizer=optimizer, epochs=2, random_state=0)
    assert np.array_equal(other.params, net.params)
    assert other.params.flags.writeable
