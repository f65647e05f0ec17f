"""Layers of every kind, and ensembles, against their plain NumPy twins and finite differences."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import reference
from helpers import DTYPES, RTOL, distance, finite_difference
from scipy import sparse

import fastnet as fn
from fastnet._core import core
from fastnet.layers import LAYERS
from fastnet.losses import get as get_loss

N_IN = 4
BINS = [[-1.0, -0.2, 0.3, 2.0], [0.0, 0.5], [-2.0, 0.1, 0.9], [-0.5, 0.5, 0.6, 0.7]]

#: Layers that read N_IN numbers, by a name; the networks of the tests end with a dense layer after them.
HIDDEN = {
    "dense": [fn.Dense(5, "tanh")],
    "dense-ntk": [fn.Dense(5, "tanh", scale="ntk"), fn.Dense(3, "gelu", scale="ntk")],
    "scale": [fn.Scale(), fn.Dense(5, "tanh")],
    "scale-bias": [fn.Dense(5, "tanh"), fn.Scale(bias=True)],
    "norm": [fn.LayerNorm(), fn.Dense(6, "silu"), fn.LayerNorm()],
    "residual": [fn.Dense(5, "tanh"), fn.Residual([fn.Dense(7, "silu"), fn.Dense(5, "identity")], "tanh")],
    "residual-of-inputs": [fn.Residual([fn.Residual([fn.Dense(4, "tanh")]), fn.LayerNorm()])],
    "concat": [fn.Concat([fn.Dense(3, "tanh")], [fn.Dense(2, "elu"), fn.Scale()], [])],
    "concat-of-hidden": [fn.Dense(4, "tanh"), fn.Concat([], [fn.Columns([2, 0])], [fn.Dense(3, "sigmoid", scale="ntk")])],
    "columns": [fn.Columns([3, 1, 1]), fn.Dense(3, "tanh")],
    "columns-of-hidden": [fn.Dense(5, "tanh"), fn.Columns([0, 4, 4, 2])],
    "pbld": [fn.NumericEmbedding("pbld", n_frequencies=5)],
    "pbld-of-hidden": [fn.Dense(3, "tanh"), fn.NumericEmbedding("pbld", n_frequencies=9, n_units=3)],
    "plr": [fn.NumericEmbedding("plr", n_frequencies=3, n_units=5, frequency_scale=0.7, activation="tanh")],
    "plr-of-hidden": [fn.Dense(3, "tanh"), fn.NumericEmbedding("plr", n_frequencies=3, n_units=2, activation="silu")],
    "piecewise": [fn.NumericEmbedding("piecewise_linear", bins=BINS, n_units=3)],
    "piecewise-of-hidden": [
        fn.Dense(4, "tanh"),
        fn.NumericEmbedding("piecewise_linear", bins=BINS, n_units=3, activation="tanh"),
    ],
    "categories": [fn.CategoryEmbedding([3, 1, 2, 5], 3)],
    "table": [
        fn.Concat([fn.NumericEmbedding(columns=[0, 1], n_frequencies=3)], [fn.CategoryEmbedding([3, 2], 2, columns=[2, 3])]),
        fn.Scale(),
        fn.Dense(6, "identity", scale="ntk"),
        fn.Parametric("selu"),
    ],
    "parametric": [fn.Dense(5, "identity"), fn.Parametric("mish"), fn.Dense(3, "identity"), fn.Parametric("tanh")],
    "prelu": [fn.Dense(5, "identity"), fn.PReLU(0.1)],
}
#: Layers that read rows with positions, and the shape of these rows, by a name; a dense layer comes after them.
POSITIONED = {
    "conv1d": ((11, 3), [fn.Conv1d(5, 3, "tanh")]),
    "conv1d-strides": ((13, 2), [fn.Conv1d(4, 3, "silu", stride=2, padding="same"), fn.Conv1d(3, 2, "tanh", dilation=3)]),
    "conv1d-causal": ((9, 1), [fn.Conv1d(4, 3, "tanh", dilation=2, padding="causal"), fn.Conv1d(20, 4, "tanh", padding=2)]),
    "conv2d": ((6, 7, 2), [fn.Conv2d(5, 3, "tanh"), fn.Conv2d(3, (2, 4), "gelu")]),
    "conv2d-strides": ((7, 6, 1), [fn.Conv2d(4, 3, "tanh", stride=2, padding="same"), fn.Conv2d(17, 2, "tanh", padding=(0, 2))]),
    "conv2d-dilation": (
        (8, 9, 2),
        [fn.Conv2d(4, (2, 3), "tanh", dilation=(2, 3), padding="same"), fn.Conv2d(3, 3, "tanh", stride=(1, 2), dilation=2)],
    ),
    "conv2d-residual": ((5, 5, 3), [fn.Residual([fn.Conv2d(3, 3, "tanh", padding="same")], "silu"), fn.Conv2d(2, 1, "tanh")]),
    "depthwise1d": ((11, 3), [fn.DepthwiseConv1d(3, "tanh", padding="causal"), fn.DepthwiseConv1d(4, "tanh", stride=2)]),
    "depthwise2d": (
        (7, 6, 2),
        [fn.Conv2d(20, 2, "tanh"), fn.DepthwiseConv2d((3, 2), "silu", padding="same", dilation=(1, 2)), fn.Dense(2, "tanh")],
    ),
    "conv2d-of-lines": (
        (8, 41, 1),
        [fn.Conv2d(7, (3, 4), "tanh", stride=(2, 1), dilation=(1, 2)), fn.MaxPool((3, 5))],
    ),
    "max-pool": ((7, 6, 2), [fn.Conv2d(3, 2, "tanh"), fn.MaxPool(2), fn.Conv2d(2, 2, "tanh")]),
    "max-pool-filling": ((7, 21, 1), [fn.Conv2d(3, 2, "tanh"), fn.MaxPool((3, 2))]),
    "max-pool-overlapping": ((11, 2), [fn.Conv1d(20, 2, "tanh"), fn.MaxPool(3, 1), fn.Residual([fn.MaxPool(1)])]),
    "avg-pool": ((7, 6, 2), [fn.Conv2d(3, 2, "tanh"), fn.AvgPool((3, 2), (1, 2)), fn.Residual([fn.AvgPool(1)])]),
    "global-mean": ((9, 2), [fn.Conv1d(5, 3, "tanh"), fn.GlobalPool()]),
    "global-max": ((4, 5, 2), [fn.Conv2d(5, 2, "tanh"), fn.LayerNorm(), fn.GlobalPool("max")]),
    "rnn": ((7, 3), [fn.RNN(5, return_sequences=True), fn.RNN(4, "relu")]),
    "lstm": ((6, 2), [fn.LSTM(5, return_sequences=True), fn.Dense(4, "tanh"), fn.LSTM(3)]),
    "gru": ((6, 3), [fn.GRU(4, return_sequences=True), fn.GRU(5, return_sequences=True)]),
    "bidirectional": ((5, 2), [fn.Bidirectional(fn.GRU(3, return_sequences=True)), fn.Bidirectional(fn.LSTM(4))]),
    "recurrent-residual": ((5, 3), [fn.Residual([fn.LSTM(3, return_sequences=True)]), fn.Bidirectional(fn.RNN(2))]),
    "pool-of-inputs": ((6, 6, 2), [fn.AvgPool(2), fn.MaxPool(2, 1), fn.Flatten(), fn.Dense(3, "tanh")]),
}
ENSEMBLES = [("packed", "members"), ("packed", "mean"), ("batch", "members"), ("batch", "mean"), ("mini", "members")]


def build(hidden, output="identity", n_out=2, *, dtype="float64", seed=0, **options):
    """A network whose parameters are all random."""
    net = fn.Network([*HIDDEN[hidden], fn.Dense(n_out, output)], N_IN, dtype=dtype, random_state=seed, **options)
    rng = np.random.default_rng(seed + 1)
    for name, view in net.parameters.items():
        if not name.endswith("edges"):
            view[...] += 0.3 * rng.standard_normal(view.shape)
    return net


def rows(hidden, m, rng):
    """Rows that a network can read: codes where it takes categories, one unknown and one out of range among them."""
    X = rng.standard_normal((m, N_IN))
    if hidden == "categories":
        X = rng.integers(-1, 7, (m, N_IN)).astype(float)
    if hidden == "table":
        X[:, 2:] = rng.integers(-1, 5, (m, 2))
    return X


def twin_outputs(net, X):
    """A[L] of each member (m, k, n), by the graph's plain NumPy."""
    _, A = net._graph.forward(net.parameters, X)
    return A[-1].reshape(len(X), net.n_members, -1)


def twin_gradient(net, X, Y, loss, w):
    """J and its gradients by name, by the graph's plain NumPy; loss and output activation are elementwise or softmax."""
    Z, A = net._graph.forward(net.parameters, X)
    k, n, m = net.n_members, net.n_outputs, len(X)
    outputs, weights = A[-1].reshape(m, k, n), (w / w.sum())[:, None, None]
    name, parameter = loss.name, loss.parameter
    of_members = net._together.loss == "members"
    seen = outputs if of_members else outputs.mean(axis=1, keepdims=True)
    targets = np.repeat(Y[:, None], seen.shape[1], axis=1)
    flat_seen, flat_targets = seen.reshape(-1, n), targets.reshape(-1, n)
    values = reference.LOSSES[name][0](flat_seen, flat_targets, parameter).reshape(seen.shape)
    J = (values * weights).sum() / (k if of_members else 1)
    slopes = reference.LOSSES[name][1](flat_seen, flat_targets, parameter).reshape(seen.shape) * weights / k
    dA = np.broadcast_to(slopes, outputs.shape).reshape(-1, n)
    activation = (net.output_activation.name, net.output_activation.parameter)
    dZ = reference.through(activation, Z[-1].reshape(-1, n), dA).reshape(m, k * n)
    return J, net._graph.backward(net.parameters, Z, A, dZ)[0]


def flat(net, gradients):
    """Gradients by name as one vector."""
    vector = np.zeros(net.n_params)
    for name, view in net.views(vector).items():
        view[...] = gradients[name]
    return vector


def assert_gradient(net, X, loss, rng, numeric=True, h=2e-4):
    loss = get_loss(loss, net.output_activation)
    w = rng.uniform(0.5, 2, len(X))
    Y = np.eye(net.n_outputs)[rng.integers(0, net.n_outputs, len(X))] if loss.name == "cross_entropy" else rng.random((len(X), 2))
    y = Y.argmax(axis=1) if loss.name == "cross_entropy" else Y
    J, grads = net.loss_and_grad(X, y, loss=loss, sample_weight=w)
    J_twin, gradients = twin_gradient(net, X, Y, loss, w)
    assert J == pytest.approx(J_twin, rel=1e-12)
    assert net.loss(X, y, loss=loss, sample_weight=w) == pytest.approx(J, rel=1e-12)
    assert distance(grads.flat, flat(net, gradients)) < 1e-11
    if numeric:
        frozen = [name for name in net.parameters if name.endswith("edges")]
        difference = finite_difference(lambda: net.loss(X, y, loss=loss, sample_weight=w), net.params, h)
        for name in frozen:
            net.views(difference)[name][...] = 0
        assert distance(grads.flat, difference) < 1e-7


@pytest.mark.parametrize("first_and_number", [(2, 2), (-1, 2), (0, 0), (3, 1), (1, 2**62)])
def test_columns_that_there_are_not(first_and_number):
    with pytest.raises(ValueError, match="layer 1.*: there are no .* columns from"):
        core.Plan(3, [(core.LAYER_CODES["columns"], (0,), first_and_number, (), 0.0, 0, 0.0, 0.0)])


def test_every_layer_is_tested():
    used = repr(HIDDEN) + repr(POSITIONED)
    attention = ("Embedding", "Positions", "Attention", "CrossAttention", "EncoderDecoder", "TransformerBlock", "FeatureTokens")
    elsewhere = ("BatchNorm", "Dropout", "Last", "Reshape", *attention)
    assert [name for name in LAYERS if f"{name}(" not in used and name not in elsewhere] == []


class TestCoreAndTwin:
    @pytest.mark.parametrize("hidden", HIDDEN)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_outputs(self, hidden, dtype, rng):
        net = build(hidden, "softmax", 3, dtype=dtype)
        X = rows(hidden, 300, rng).astype(dtype)
        A = net.forward(X)
        wide = {name: view.astype(np.float64) for name, view in net.parameters.items()}
        _, expected = net._graph.forward(wide, X.astype(np.float64))
        assert distance(A, expected[-1]) < 10 * RTOL[dtype]
        assert distance(np.stack([net.forward(x) for x in X[:5]]), A[:5]) < 10 * RTOL[dtype]
        assert distance(net.activations(X)[-1], A) == 0

    @pytest.mark.parametrize("hidden", HIDDEN)
    @pytest.mark.parametrize(("output", "loss"), [("identity", "squared_error"), ("softmax", "cross_entropy")])
    def test_gradients(self, hidden, output, loss, rng):
        assert_gradient(build(hidden, output), rows(hidden, 9, rng), loss, rng)

    @pytest.mark.parametrize("hidden", HIDDEN)
    def test_gradients_of_many_rows(self, hidden, rng):
        """More than a block of predictions and than a piece of a gradient hold."""
        assert_gradient(build(hidden), rows(hidden, 2500, rng), "squared_error", rng, numeric=False)

    @pytest.mark.parametrize("hidden", HIDDEN)
    def test_gradients_in_float32(self, hidden, rng):
        nets = [build(hidden, dtype=dtype) for dtype in DTYPES]
        nets[1].params[:] = nets[0].params
        X, y = rows(hidden, 60, rng).astype(np.float32), rng.random((60, 2)).astype(np.float32)
        narrow, wide = (net.loss_and_grad(X, y)[1].flat for net in nets)
        assert distance(narrow, wide) < 1e-4

    @pytest.mark.parametrize("hidden", HIDDEN)
    def test_training(self, hidden, rng):
        """Updates with L2 and weight decay, which are on the prefix of the vector that holds weights."""
        net = build(hidden)
        X, y = rows(hidden, 40, rng), rng.random((40, 2))
        p, n = net.params.copy(), net.n_weights
        frozen = np.zeros(net.n_params, bool)
        for name, view in net.views(frozen).items():
            view[...] = name.endswith("edges")
        net.fit(X, y, optimizer=fn.SGD(0.05), batch_size=8, epochs=2, sampling="sequential", l2=0.01, weight_decay=0.1)
        twin = build(hidden)
        for _ in range(2):
            for start in range(0, 40, 8):
                twin.params[:] = p
                _, gradients = twin_gradient(twin, X[start : start + 8], y[start : start + 8], fn.SquaredError(), np.ones(8))
                g = flat(twin, gradients)
                g[:n] += 0.01 * p[:n]
                decay = np.where(np.arange(len(p)) < n, 0.05 * 0.1 * p, 0)
                p = np.where(frozen, p, p - 0.05 * g - decay)
        assert distance(net.params, p) < 1e-11


class TestEnsembles:
    @pytest.mark.parametrize("hidden", HIDDEN)
    @pytest.mark.parametrize(("kind", "loss_of"), ENSEMBLES)
    @pytest.mark.parametrize(("output", "loss"), [("identity", "squared_error"), ("softmax", "cross_entropy"), ("silu", "huber")])
    def test_outputs_and_gradients(self, hidden, kind, loss_of, output, loss, rng):
        net = build(hidden, output, n_members=3, ensemble=kind, ensemble_loss=loss_of)
        X = rows(hidden, 7, rng)
        expected = twin_outputs(net, X)
        assert distance(net.forward_members(X), expected) < 1e-12
        assert distance(net.forward(X), expected.mean(axis=1)) < 1e-12
        assert distance(net.forward(X[0]), expected[0].mean(axis=0)) < 1e-12
        assert_gradient(net, X, loss, rng, numeric=hidden in ("dense", "table"))

    @pytest.mark.parametrize("hidden", HIDDEN)
    def test_packed_members_are_networks_of_their_own(self, hidden, rng):
        """Each trains as a network alone does that begins with its parameters."""
        k = 3
        net = build(hidden, n_members=k)
        X, y = rows(hidden, 50, rng), rng.random((50, 2))
        alone = [member_of(net, hidden, i) for i in range(k)]
        options = {"optimizer": fn.Adam(0.01), "batch_size": 16, "epochs": 3, "sampling": "sequential"}
        for single in alone:
            single.fit(X, y, **options)
        # the mean over members of their losses has a k-th of each member's gradient, to which Adam is blind but for epsilon
        net.fit(X, y, **options | {"optimizer": fn.Adam(0.01, epsilon=1e-8 / k)})
        for i, single in enumerate(alone):
            assert distance(net.forward_members(X)[:, i], single.forward(X)) < 1e-9

    def test_members_begin_apart(self):
        for kind in ("packed", "batch", "mini"):
            net = fn.Network([fn.Dense(5, "tanh"), fn.Dense(2, "softmax")], 30, n_members=4, ensemble=kind, random_state=0)
            A = net.forward_members(np.ones((1, 30)))[0]
            assert len(np.unique(A[:, 0])) == 4, kind

    def test_dropout_masks_of_members_differ(self):
        net = fn.Network([fn.Dense(50, "relu", dropout=0.5), fn.Dense(1, "identity")], 3, n_members=2, random_state=0)
        X, y = np.ones((4, 3)), np.ones((4, 1))
        gradient = net.loss_and_grad(X, y, dropout_seed=1)[1].weights[1]
        assert not np.array_equal(gradient[0] == 0, gradient[1] == 0)

    @pytest.mark.parametrize("options", [{"n_members": 0}, {"ensemble": "other"}, {"ensemble_loss": "median"}])
    def test_bad_options(self, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            fn.Network([fn.Dense(1, "identity")], 3, **options)


def member_of(net, hidden, i):
    """Member i of a packed ensemble as a network of its own."""
    single = build(hidden)
    for name, view in single.parameters.items():
        mine = net.parameters[name]
        view[...] = mine.reshape(net.n_members, *view.shape)[i]
    return single


class TestEverythingElse:
    @pytest.mark.parametrize("hidden", HIDDEN)
    @pytest.mark.parametrize("ensemble", [{}, {"n_members": 3, "ensemble": "batch", "ensemble_loss": "mean"}])
    def test_files_pickles_and_copies(self, hidden, ensemble, rng, tmp_path):
        net = build(hidden, **ensemble)
        X = rows(hidden, 6, rng)
        net.save(tmp_path / "net.safetensors")
        for other in (fn.load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
            assert other.layers == net.layers
            assert np.array_equal(other.params, net.params)
            assert np.array_equal(other.forward(X), net.forward(X))
            assert list(other.parameters) == list(net.parameters)
            assert other.loss(X, np.zeros((6, 2))) == net.loss(X, np.zeros((6, 2)))

    @pytest.mark.parametrize("hidden", HIDDEN)
    def test_threads_do_not_change_bits(self, hidden, rng):
        X, y = rows(hidden, 600, rng), rng.random((600, 2))
        results = []
        for n_threads in (1, 2, 3):
            net = build(hidden, n_members=24)
            net.fit(X, y, batch_size=256, epochs=2, random_state=0, n_threads=n_threads)
            results.append(net.params.copy())
        assert all(np.array_equal(results[0], other) for other in results[1:])

    @pytest.mark.parametrize("hidden", HIDDEN)
    def test_summary_and_repr_name_all_layers(self, hidden):
        net = build(hidden)
        assert f"{net.n_params:,} parameters" in net.summary()
        sizes = [int(line.split()[-1].replace(",", "")) for line in net.summary().splitlines()[1:-1]]
        assert sum(sizes) == net.n_params
        assert f"{net.n_params} parameters" in repr(net)

    def test_sparse_rows(self, rng):
        X = sparse.random(30, N_IN, 0.5, "csr", random_state=0)
        net = fn.Network([fn.Concat([fn.Dense(3, "tanh")], [fn.Dense(2, "tanh", scale="ntk")]), fn.Dense(2, "identity")], N_IN)
        assert distance(net.forward(X), net.forward(X.toarray())) < 1e-6
        y = rng.random((30, 2))
        assert distance(net.loss_and_grad(X, y)[1].flat, net.loss_and_grad(X.toarray(), y)[1].flat) < 1e-5
        with pytest.raises(ValueError, match="toarray"):
            build("norm").forward(X)

    def test_dropout_layer_is_the_dropout_of_the_layer_before(self, rng):
        X, y = rng.standard_normal((20, N_IN)), rng.random((20, 2))
        layers = [[fn.Dense(9, "tanh"), fn.Dropout(0.4)], [fn.Dense(9, "tanh", dropout=0.4)]]
        nets = [fn.Network([*hidden, fn.Dense(2, "identity")], N_IN, dtype="float64", random_state=0) for hidden in layers]
        means = []
        for net in nets:
            draws = [net.loss_and_grad(X, y, dropout_seed=seed)[1].flat for seed in range(400)]
            means.append(np.mean(draws, axis=0))
            assert np.array_equal(net.forward(X), nets[0].forward(X))
        assert distance(means[0], means[1]) < 0.1

    def test_wrong_layers(self):
        with pytest.raises(ValueError, match=r"same width, got 3 and 4; end with Dense\(4"):
            fn.Network([fn.Residual([fn.Dense(3)]), fn.Dense(1)], N_IN)
        with pytest.raises(ValueError, match="no column 4"):
            fn.Network([fn.Columns([4]), fn.Dense(1)], N_IN)
        with pytest.raises(ValueError, match="4 codes a row"):
            fn.Network([fn.CategoryEmbedding([3]), fn.Dense(1)], N_IN)
        with pytest.raises(ValueError, match="output layer must have no dropout"):
            fn.Network([fn.Dense(1, "identity"), fn.Dropout(0.5)], N_IN)
        with pytest.raises(ValueError, match="quantile_bins"):
            fn.NumericEmbedding("piecewise_linear")
        with pytest.raises(ValueError, match="ascending"):
            fn.NumericEmbedding("piecewise_linear", bins=[[1.0, 0.0]])
        with pytest.raises(ValueError, match="elementwise"):
            fn.Parametric("softmax")
        with pytest.raises(TypeError, match="Residual takes lists of layers"):
            fn.Residual([3])
        with pytest.raises(ValueError, match="one of 'none', 'ntk'"):
            fn.Dense(3, scale="NTK")


class TestQuantileBins:
    def test_bins_hold_equal_shares(self, rng):
        X = rng.standard_normal((1000, 2)) ** 3
        for column, edges in zip(X.T, fn.quantile_bins(X, 10), strict=True):
            assert np.abs(np.histogram(column, edges)[0] - 100).max() <= 1

    def test_few_values_and_constants(self):
        X = np.array([[0, 7], [1, 7], [1, 7], [0, 7]])
        assert [edges.tolist() for edges in fn.quantile_bins(X, 4)] == [[0, 0.5, 1], [7, 8]]

    def test_bad_rows(self):
        with pytest.raises(ValueError, match="finite"):
            fn.quantile_bins([[np.nan]])


class TestPositions:
    """Rows that have positions: dense layers and normalisation go by them."""

    LAYERS = (fn.Dense(5, "tanh"), fn.LayerNorm(), fn.Residual([fn.Dense(5, "silu")]), fn.Flatten(), fn.Dense(2, "identity"))

    def test_gradients(self, rng):
        net = fn.Network(self.LAYERS, input_shape=(3, 4), dtype="float64", random_state=0)
        net.params[:] += 0.3 * rng.standard_normal(net.n_params)
        assert net.weights[0].shape == (4, 5)
        assert net.parameters["2.gain"].shape == (5,)
        assert_gradient(net, rng.standard_normal((9, 12)), "squared_error", rng)

    def test_a_position_is_a_row(self, rng):
        """Without anything that mixes positions, each goes through the layers as a row of its own would."""
        net = fn.Network([*self.LAYERS[:3], fn.Dense(2, "sigmoid")], input_shape=(3, 4), dtype="float64", random_state=0)
        flat = fn.Network([*self.LAYERS[:3], fn.Dense(2, "sigmoid")], 4, dtype="float64", random_state=0)
        X = rng.standard_normal((7, 3, 4))
        assert net.output_shape == (3, 2)
        assert net.n_params == flat.n_params
        assert distance(net.forward(X).reshape(21, 2), flat.forward(X.reshape(21, 4))) < 1e-13
        assert [A.shape for A in net.activations(X)[1:]] == [(7, 3, 5), (7, 3, 5), (7, 3, 5), (7, 3, 2)]

    def test_forms_of_X(self, rng, tmp_path):
        net = fn.Network(self.LAYERS, input_shape=(3, 4), random_state=0)
        X, y = rng.standard_normal((7, 3, 4)), rng.random((7, 2))
        assert np.array_equal(net.forward(X), net.forward(X.reshape(7, 12)))
        assert distance(net.forward(X[0]), net.forward(X)[0]) < 1e-6
        assert net.predict(X[0]).shape == (2,)
        net.fit(X, y, epochs=1, validation_data=(X, y))
        assert net.loss(X, y) == net.loss(X.reshape(7, 12), y)
        net.save(tmp_path / "net")
        for other in (fn.load(tmp_path / "net"), pickle.loads(pickle.dumps(net))):
            assert other.input_shape == (3, 4)
            assert np.array_equal(other.forward(X), net.forward(X))
        with pytest.raises(ValueError, match=r"X must have shape \(rows, 3, 4\), got \(7, 4, 3\)"):
            net.forward(X.reshape(7, 4, 3))

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("steps", [1, 3])
    def test_last(self, rng, steps, dtype, tmp_path):
        layers = (fn.Dense(5, "tanh"), fn.Last(), fn.Dense(2, "identity"))
        net = fn.Network(layers, input_shape=(steps, 4), dtype=dtype, random_state=0)
        of_position = fn.Network((layers[0], layers[2]), 4, dtype=dtype, random_state=0)
        X = rng.standard_normal((9, steps, 4)).astype(dtype)
        assert net.output_shape == (2,)
        assert distance(net.forward(X), of_position.forward(X[:, -1])) < RTOL[dtype]
        if dtype == "float64":
            assert_gradient(net, X.reshape(9, -1), "squared_error", rng)
        net.save(tmp_path / "net")
        for other in (fn.load(tmp_path / "net"), pickle.loads(pickle.dumps(net))):
            assert np.array_equal(other.forward(X), net.forward(X))

    def test_ensembles_behind_flatten(self, rng):
        layers = [fn.Flatten(), *self.LAYERS[:3], fn.Dense(2, "identity")]
        net = fn.Network(layers, input_shape=(3, 4), n_members=2, dtype="float64")
        assert_gradient(net, rng.standard_normal((9, 12)), "squared_error", rng)

    def test_wrong_shapes(self):
        with pytest.raises(TypeError, match="either n_inputs or input_shape"):
            fn.Network(self.LAYERS)
        with pytest.raises(ValueError, match="input_shape must be at least 1"):
            fn.Network(self.LAYERS, input_shape=(3, 0))
        with pytest.raises(ValueError, match=r"Last takes rows of shape \(steps, channels\), got flat rows of 12"):
            fn.Network([fn.Last(), fn.Dense(1)], 12)
        with pytest.raises(ValueError, match=r"Reshape to \(5, 2\) needs 10 numbers"):
            fn.Network([fn.Reshape((5, 2)), fn.Dense(1)], 12)


class TestMembersOfTheirOwn:
    def data(self, rng):
        X = rng.standard_normal((60, N_IN))
        return X, (X[:, 0] + 0.5 * rng.standard_normal(60) > 0).astype(int)

    @pytest.mark.parametrize("hidden", HIDDEN)
    def test_a_member_is_a_network(self, hidden, rng):
        net = build(hidden, n_members=3)
        X = rows(hidden, 7, rng)
        for i in range(3):
            assert distance(net.member(i).forward(X), net.forward_members(X)[:, i]) < 1e-12

    def test_members_that_share_parameters_are_none(self):
        with pytest.raises(ValueError, match="'batch' ensemble share parameters"):
            build("dense", n_members=3, ensemble="batch").member(0)
        with pytest.raises(ValueError, match="at most 2"):
            build("dense", n_members=3).member(3)

    def test_each_member_keeps_its_own_best_epoch(self, rng):
        X, y = self.data(rng)
        X_val, y_val = self.data(rng)
        seen = []

        class Look(fn.Callback):
            def on_epoch_end(self, session):
                seen.append((session.member_losses(), session.network.params.copy()))

        net = build("dense", "softmax", n_members=4)
        stopping = fn.EarlyStopping(patience=8, each_member=True)
        options = {"optimizer": fn.Adam(0.05), "batch_size": 16, "epochs": 60, "random_state": 0}
        net.fit(X, y, validation_data=(X_val, y_val), callbacks=[Look(), stopping], **options)
        losses = np.array([each for each, _ in seen])
        best = losses.argmin(axis=0)
        assert len(set(best)) > 1
        assert len(losses) < 60
        assert np.array_equal(stopping.best_values, losses.min(axis=0))
        for i, epoch in enumerate(best):
            then = build("dense", "softmax", n_members=4)
            then.params[:] = seen[epoch][1]
            assert np.array_equal(net.member(i).params, then.member(i).params)

    def test_what_each_member_needs(self, rng):
        X, y = self.data(rng)
        with pytest.raises(ValueError, match="leave monitor and restore_best"):
            fn.EarlyStopping("loss", each_member=True)
        net = build("dense", "softmax", n_members=2)
        with pytest.raises(ValueError, match="val_loss, but there is none"):
            net.fit(X, y, callbacks=[fn.EarlyStopping(each_member=True)], epochs=1)


class TestConvolutionsAndPools:
    """Layers over windows of positions."""

    @staticmethod
    def build(hidden, output="identity", n_out=2, **options):
        shape, layers = POSITIONED[hidden]
        net = fn.Network([*layers, fn.Flatten(), fn.Dense(n_out, output)], input_shape=shape, **{"random_state": 0} | options)
        net.params[:] += 0.3 * np.random.default_rng(1).standard_normal(net.n_params)
        return net

    @staticmethod
    def rows(hidden, m, rng):
        return rng.standard_normal((m, *POSITIONED[hidden][0]))

    @pytest.mark.parametrize("hidden", POSITIONED)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_outputs(self, hidden, dtype, rng):
        net = self.build(hidden, "softmax", 3, dtype=dtype)
        X = self.rows(hidden, 300, rng).astype(dtype)
        A = net.forward(X)
        wide = {name: view.astype(np.float64) for name, view in net.parameters.items()}
        _, expected = net._graph.forward(wide, X.reshape(300, -1).astype(np.float64))
        assert distance(A, expected[-1]) < 10 * RTOL[dtype]
        assert distance(np.stack([net.forward(x) for x in X[:5]]), A[:5]) < 10 * RTOL[dtype]
        assert distance(net.activations(X)[-1], A) == 0

    @pytest.mark.parametrize("hidden", POSITIONED)
    @pytest.mark.parametrize(("output", "loss"), [("identity", "squared_error"), ("softmax", "cross_entropy")])
    def test_gradients(self, hidden, output, loss, rng):
        """By differences so small that hardly a maximum moves to another position."""
        net = self.build(hidden, output, dtype="float64")
        assert_gradient(net, self.rows(hidden, 9, rng).reshape(9, -1), loss, rng, h=2e-6)

    @pytest.mark.parametrize("hidden", POSITIONED)
    def test_gradients_of_many_rows(self, hidden, rng):
        net = self.build(hidden, dtype="float64")
        assert_gradient(net, self.rows(hidden, 1100, rng).reshape(1100, -1), "squared_error", rng, numeric=False)

    @pytest.mark.parametrize("hidden", POSITIONED)
    def test_gradients_in_float32(self, hidden, rng):
        nets = [self.build(hidden, dtype=dtype) for dtype in DTYPES]
        nets[1].params[:] = nets[0].params
        X, y = self.rows(hidden, 60, rng).astype(np.float32), rng.random((60, 2)).astype(np.float32)
        narrow, wide = (net.loss_and_grad(X, y)[1].flat for net in nets)
        assert distance(narrow, wide) < 1e-4

    @pytest.mark.parametrize("hidden", POSITIONED)
    def test_files_pickles_and_copies(self, hidden, rng, tmp_path):
        net, X = self.build(hidden), self.rows(hidden, 6, rng)
        net.save(tmp_path / "net.safetensors")
        for other in (fn.load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
            assert other.layers == net.layers
            assert np.array_equal(other.forward(X), net.forward(X))
            assert list(other.parameters) == list(net.parameters)
        assert f"{net.n_params:,} parameters" in net.summary()

    @pytest.mark.parametrize("hidden", POSITIONED)
    def test_threads_do_not_change_bits(self, hidden, rng):
        X, y = self.rows(hidden, 600, rng), rng.random((600, 2))
        results = []
        for n_threads in (1, 2, 3):
            net = self.build(hidden)
            net.fit(X, y, batch_size=256, epochs=2, random_state=0, n_threads=n_threads)
            results.append(net.params.copy())
        assert all(np.array_equal(results[0], other) for other in results[1:])

    def test_l2_and_weight_decay_are_on_filters(self):
        net = self.build("conv2d")
        flat = np.zeros(net.n_params, bool)
        flat[: net.n_weights] = True
        penalised = {name: view.all() for name, view in net.views(flat).items()}
        assert penalised == {name: name.endswith("W") for name in net.parameters}

    @pytest.mark.parametrize(
        ("padding", "stride", "before"),
        [("same", 1, 1), ("same", 2, 1), ("same", 5, 0), ("causal", 1, 3), (2, 1, 2), ("valid", 1, 0)],
    )
    def test_padding(self, padding, stride, before):
        """Of an input that is 1 at the first position alone: the number of zeros before it says which weight meets it."""
        net = fn.Network(
            [fn.Conv1d(1, 4, "identity", padding=padding, stride=stride), fn.Flatten()], input_shape=(8, 1), dtype="float64"
        )
        net.parameters["1.W"][:, 0, 0] = [1, 2, 3, 4]
        X = np.zeros((1, 8, 1))
        X[0, 0] = 1
        outputs = net.forward(X)[0]
        sizes = {("same", 1): 8, ("same", 2): 4, ("same", 5): 2, ("causal", 1): 8, (2, 1): 9, ("valid", 1): 5}
        assert len(outputs) == sizes[padding, stride]
        assert outputs[0] == before + 1

    def test_causal_outputs_depend_on_no_later_input(self, rng):
        layers = [fn.Conv1d(4, 3, "tanh", dilation=2, padding="causal"), fn.Conv1d(2, 2, "identity", padding="causal")]
        net = fn.Network(layers, input_shape=(12, 3))
        X = rng.standard_normal((5, 12, 3))
        later = X.copy()
        later[:, 7:] = 9
        assert np.array_equal(net.forward(X)[:, :7], net.forward(later)[:, :7])

    def test_dropout_leaves_the_mean(self, rng):
        layers = [fn.Conv1d(6, 3, "tanh", dropout=0.4), fn.Flatten(), fn.Dense(2, "identity")]
        net = fn.Network(layers, input_shape=(9, 2), dtype="float64", random_state=0)
        X, y = rng.standard_normal((20, 9, 2)), rng.random((20, 2))
        draws = [net.loss_and_grad(X, y, dropout_seed=seed)[1].flat for seed in range(2)]
        assert not np.array_equal(*draws)

    def test_ties_and_missing_values_of_maxima(self):
        net = fn.Network([fn.Scale(), fn.MaxPool(2), fn.Flatten()], input_shape=(4, 1), dtype="float64")
        X = np.array([[2.0, 2.0, 1.0, 3.0]])
        assert net.loss_and_grad(X, np.zeros((1, 2)))[1].flat.tolist() == [4.0, 0.0, 0.0, 9.0]
        pooling = net._graph.nodes[1].operation
        assert np.isnan(pooling.forward({}, np.array([[np.nan, 1.0, 1.0, np.nan]]))).all()

    def test_ties_and_missing_values_of_maxima_that_are_taken_together(self, rng):
        layers = [fn.Scale(), fn.MaxPool(2), fn.Flatten(), fn.Dense(2, "identity")]
        net = fn.Network(layers, input_shape=(6, 10, 3), dtype="float64", random_state=0)
        X = rng.integers(0, 3, (9, 6, 10, 3)).astype(float)
        assert_gradient(net, X.reshape(9, -1), "squared_error", rng, numeric=False)
        X[rng.random(X.shape) < 0.1] = np.nan
        Z, _ = net._graph.forward(net.parameters, X.reshape(9, -1))
        np.testing.assert_array_equal(net.activations(X)[2].reshape(9, -1), Z[1])

    def test_more_windows_than_are_made_at_a_time(self, rng):
        layers = [fn.Conv1d(24, 3, "tanh"), fn.Conv1d(3, 30, "tanh"), fn.GlobalPool(), fn.Dense(2, "identity")]
        net = fn.Network(layers, input_shape=(400, 1), dtype="float64", random_state=0)
        assert_gradient(net, rng.standard_normal((3, 400)), "squared_error", rng, numeric=False)

    def test_wrong_shapes(self):
        def build(layer, shape, **options):
            return fn.Network([layer, fn.Flatten(), fn.Dense(1)], input_shape=shape, **options)

        with pytest.raises(ValueError, match=r"Conv2d takes rows of shape \(height, width, channels\), got \(64,\)"):
            build(fn.Conv2d(3, 3), (64,))
        with pytest.raises(ValueError, match=r"Conv1d has windows of \(5,\) positions, more than \(4, 2\)"):
            build(fn.Conv1d(3, 3, dilation=2), (4, 2))
        with pytest.raises(ValueError, match=r"MaxPool has windows of \(3, 3\) positions, more than \(2, 8, 1\)"):
            build(fn.MaxPool(3), (2, 8, 1))
        with pytest.raises(ValueError, match="'valid', 'same'"):
            fn.Conv2d(3, 3, padding="causal")
        with pytest.raises(ValueError, match="kernel_size must be an int, or 2 of them"):
            fn.Conv2d(3, (3, 3, 3))
        with pytest.raises(ValueError, match="size must be an int, or 1 of them"):
            build(fn.AvgPool((2, 2)), (8, 1))
        with pytest.raises(ValueError, match="filters must be at least 1"):
            fn.Conv1d(0, 3)


class TestMembersOfNetworksWithPositions:
    """They have operations of their own, and are exactly the networks that they would be alone."""

    #: Input shape, further options, and layers before the output layer.
    SEQUENCES = {
        "batch-norm": ((6, 2), {}, [fn.Conv1d(4, 3, "tanh"), fn.BatchNorm("relu"), fn.Flatten(), fn.BatchNorm()]),
        "dense": ((3, 4), {}, [fn.Dense(5, "tanh"), fn.LayerNorm(), fn.PReLU(), fn.Scale(), fn.GlobalPool()]),
        "ids": ((7,), {}, [fn.Embedding(6, 4), fn.Positions(), fn.TransformerBlock(2), fn.GlobalPool()]),
        "tokens": ((4,), {}, [fn.FeatureTokens(4), fn.Attention(2), fn.Last()]),
        "ragged": (
            (7, 3),
            {"ragged": True},
            [fn.Conv1d(4, 3, "tanh", padding="same"), fn.GRU(3, return_sequences=True), fn.Last()],
        ),
        "pairs": (
            (4,),
            {"ragged": True, "source_shape": (5,)},
            [
                fn.EncoderDecoder(
                    [fn.Embedding(6, 4), fn.Positions()],
                    [fn.Embedding(6, 4), fn.TransformerBlock(2, causal=True, cross=True)],
                ),
                fn.GlobalPool(),
            ],
        ),
        **{name: (shape, {}, [*layers, fn.Flatten()]) for name, (shape, layers) in POSITIONED.items()},
    }
    LEARNED = ("batch-norm", "ids", "ragged", "pairs", "conv1d", "lstm")

    @classmethod
    def build(cls, name, output="identity", *, n_out=2, k=3, **options):
        shape, inputs, layers = cls.SEQUENCES[name]
        options = {"dtype": "float64", "random_state": 0} | inputs | options
        net = fn.Network([*layers, fn.Dense(n_out, output)], input_shape=shape, n_members=k, **options)
        frozen = ("mean", "var")
        rng = np.random.default_rng(1)
        for parameter, view in net.parameters.items():
            if not parameter.endswith(frozen):
                view[...] += 0.3 * rng.standard_normal(view.shape)
        return net

    @classmethod
    def rows(cls, name, m, rng):
        shape = cls.SEQUENCES[name][0]
        if name == "pairs":
            return tuple([rng.integers(0, 6, n) for n in rng.integers(1, most + 1, m)] for most in (5, 4))
        if name == "ragged":
            return [rng.standard_normal((n, 3)) for n in rng.integers(1, 8, m)]
        return rng.integers(0, 6, (m, *shape)).astype(float) if name == "ids" else rng.standard_normal((m, *shape))

    @pytest.mark.parametrize("name", SEQUENCES)
    def test_outputs_and_gradients_are_those_of_single_networks(self, name, rng):
        net, X, y = self.build(name), self.rows(name, 9, rng), rng.random((9, 2))
        alone = [net.member(i) for i in range(3)]
        assert len({single.params.tobytes() for single in alone}) == 3
        each = net.forward_members(X)
        for i, single in enumerate(alone):
            assert distance(each[:, i], single.forward(X)) < 1e-13
        assert distance(net.forward(X), each.mean(axis=1)) < 1e-14
        J, gradient = net.loss_and_grad(X, y)
        pairs = [single.loss_and_grad(X, y) for single in alone]
        assert J == pytest.approx(np.mean([own for own, _ in pairs]), rel=1e-12)
        for parameter, view in net.views(gradient.flat).items():
            for i, (_, own) in enumerate(pairs):
                assert distance(3 * net.parts_of(view)[i], alone[i].views(own.flat)[parameter].ravel()) < 1e-11, parameter

    @pytest.mark.parametrize("name", LEARNED)
    @pytest.mark.parametrize("output", ["softmax", "sigmoid"])
    def test_core_and_twin(self, name, output, rng):
        """Of the loss of the mean too, which goes back through the operation that puts the members side by side."""
        net = self.build(name, output, ensemble_loss="mean")
        X = net._flat(self.rows(name, 7, rng))
        if name != "batch-norm":  # whose statistics are the batch's
            assert_gradient(net, X, None, rng, numeric=False)
        assert distance(net.forward_members(X), twin_outputs(net, X)) < 1e-12

    @pytest.mark.parametrize("name", LEARNED)
    def test_each_trains_as_it_would_alone(self, name, rng):
        net, X, y = self.build(name), self.rows(name, 20, rng), rng.random((20, 2))
        alone = [net.member(i) for i in range(3)]
        options = {"batch_size": 8, "epochs": 2, "sampling": "sequential"}
        for single in alone:
            single.fit(X, y, optimizer=fn.Adam(0.01), **options)
        net.fit(X, y, optimizer=fn.Adam(0.01, epsilon=1e-8 / 3), **options)
        for i, single in enumerate(alone):
            assert distance(net.member(i).params, single.params) < 1e-9

    @pytest.mark.parametrize("name", LEARNED)
    def test_threads_do_not_change_bits(self, name, rng):
        X, y = self.rows(name, 300, rng), rng.random((300, 2))
        results = []
        for n_threads in (1, 2, 3):
            net = self.build(name, dtype="float32")
            net.fit(X, y, batch_size=128, epochs=1, random_state=0, n_threads=n_threads)
            results.append(net.params.copy())
        assert all(np.array_equal(results[0], other) for other in results[1:])

    @pytest.mark.parametrize("name", LEARNED)
    def test_files_pickles_and_tables(self, name, rng, tmp_path):
        net, X = self.build(name), self.rows(name, 5, rng)
        net.save(tmp_path / "net")
        for other in (fn.load(tmp_path / "net"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
            assert np.array_equal(other.params, net.params)
            assert np.array_equal(other.forward_members(X), net.forward_members(X))
        sizes = [int(line.split()[-1].replace(",", "")) for line in net.summary().splitlines()[1:-1]]
        assert sum(sizes) == net.n_params
        assert distance(net.activations(X)[-1], net.forward_members(X)) == 0

    def test_outputs_of_layers(self, rng):
        """What members share has no axis for them."""
        net = fn.Network([fn.Flatten(), fn.Reshape((4, 3)), fn.RNN(5), fn.Dense(2)], input_shape=(6, 2), n_members=3)
        X = rng.standard_normal((8, 6, 2)).astype(np.float32)
        assert [A.shape for A in net.activations(X)] == [(8, 12), (8, 12), (8, 4, 3), (8, 3, 5), (8, 3, 2)]
        for i in range(3):
            assert distance(net.activations(X)[3][:, i], net.member(i).activations(X)[3]) < 1e-6

    def test_each_member_keeps_its_own_best_epoch(self, rng):
        net, X, y = self.build("conv1d"), self.rows("conv1d", 40, rng), rng.standard_normal((40, 2))
        losses = []

        class Look(fn.Callback):
            def on_epoch_end(self, session):
                losses.append(session.member_losses())

        stopping = fn.EarlyStopping(patience=9, each_member=True)
        options = {"optimizer": fn.Adam(0.05), "epochs": 25, "random_state": 0, "validation_data": (X[:10], y[:10])}
        net.fit(X[10:], y[10:], callbacks=[Look(), stopping], **options)
        assert len(set(np.argmin(losses, axis=0))) > 1
        of_members = [net.member(i).loss(X[:10], y[:10]) for i in range(3)]
        np.testing.assert_allclose(of_members, np.min(losses, axis=0), rtol=1e-12)

    def test_factors_by_name(self, rng):
        net, X, y = self.build("conv1d"), self.rows("conv1d", 9, rng), rng.random((9, 2))
        before = {name: view.copy() for name, view in net.parameters.items()}
        net.fit(X, y, learning_rate_factors={"1": 0.0}, epochs=1)
        still = {name: np.array_equal(view, before[name]) for name, view in net.parameters.items()}
        assert still == {name: name.startswith("1.") for name in before}

    def test_what_cannot_be(self):
        layers = [fn.Conv1d(3, 2), fn.Flatten(), fn.Dense(1)]
        with pytest.raises(ValueError, match=r"'mini' ensemble share dense layers over flat rows.*ensemble='packed'"):
            fn.Network(layers, input_shape=(4, 2), n_members=2, ensemble="mini")
        with pytest.raises(ValueError, match="one softmax each, and this network has 4 a row"):
            fn.Network([fn.Dense(3, "softmax")], input_shape=(4, 2), n_members=2)
        with pytest.raises(ValueError, match="3000 members with 3 operations each are too many"):
            fn.Network(layers, input_shape=(4, 2), n_members=3000)
        with pytest.raises(ValueError, match=r"step is for one network.*net\.member"):
            fn.Network([fn.GRU(3), fn.Dense(1)], input_shape=(4, 2), n_members=2).step(np.ones(2))
        with pytest.raises(ValueError, match="has positions"):
            fn.Network([fn.GRU(3, return_sequences=True), fn.Dense(1)], input_shape=(4, 2), ragged=True, n_members=2)
