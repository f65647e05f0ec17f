"""Layers of every kind against their plain NumPy twins and finite differences."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from helpers import DTYPES, RTOL, assert_same_bits_by_any_team, distance
from layer_networks import HIDDEN, N_IN, POSITIONED, assert_gradient, build, flat, rows, twin_gradient
from scipy import sparse

import fastnet as fn
from fastnet._core import core
from fastnet.layers import LAYERS, Layer


@pytest.mark.parametrize("first_and_number", [(2, 2), (-1, 2), (0, 0), (3, 1), (1, 2**62)])
def test_columns_that_there_are_not(first_and_number):
    with pytest.raises(ValueError, match="layer 1.*: there are no .* columns from"):
        core.Plan(3, [(core.LAYER_CODES["columns"], (0,), first_and_number, (), 0.0, 0, 0.0, 0.0)])


def types_in(value):
    """Names of the types of all layers in a value: of a list, of the lists of a dict, or within other layers."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return set().union(*map(types_in, value))
    return {type(value).__name__} | types_in(vars(value)) if isinstance(value, Layer) else set()


def test_every_layer_is_tested():
    used = types_in([HIDDEN, POSITIONED])
    attention = ("Embedding", "Positions", "Attention", "CrossAttention", "EncoderDecoder", "TransformerBlock", "FeatureTokens")
    elsewhere = ("BatchNorm", "Dropout", "Last", "Reshape", *attention)
    assert [name for name in LAYERS if name not in used and name not in elsewhere] == []


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

        def compute():
            net = build(hidden, n_members=24)
            net.fit(X, y, batch_size=256, epochs=2, random_state=0)
            return net.params, net.forward(X)

        assert_same_bits_by_any_team(compute)

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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_edges_of_bins_that_the_dtype_cannot_tell_apart_give_no_nan(dtype):
    embedding = fn.NumericEmbedding("piecewise_linear", n_units=3, bins=[[-1.0, 0.0, 1e-50, 1.0]])
    net = fn.Network([fn.Dense(1, "identity"), embedding, fn.Dense(1, "identity")], 1, dtype=dtype, random_state=0)
    net.parameters["1.W"][:], net.parameters["1.b"][:] = 1.0, 0.0
    X = np.array([[-0.5], [0.0], [1e-3], [0.5]], dtype)
    loss, gradients = net.loss_and_grad(X, X[:, 0])
    assert np.isfinite(net.forward(X)).all() and np.isfinite(loss)
    assert np.isfinite(gradients.flat).all()


class TestQuantileBins:
    def test_bins_hold_equal_shares(self, rng):
        X = rng.standard_normal((1000, 2)) ** 3
        for column, edges in zip(X.T, fn.quantile_bins(X, 10), strict=True):
            assert np.abs(np.histogram(column, edges)[0] - 100).max() <= 1

    def test_few_values_and_constants(self):
        X = np.array([[0, 7], [1, 7], [1, 7], [0, 7]])
        assert [edges.tolist() for edges in fn.quantile_bins(X, 4)] == [[0, 0.5, 1], [7, 8]]

    def test_no_bin_is_empty_in_float32(self):
        X = np.repeat(np.float32(np.arange(1, 9) / 7), 2)[:15, None]
        assert (np.diff(np.float32(fn.quantile_bins(X, 14)[0])) > 0).all()

    def test_bad_rows(self):
        with pytest.raises(ValueError, match="finite"):
            fn.quantile_bins([[np.nan]])
