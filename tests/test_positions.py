"""Layers of rows that have positions: at each of them, over windows of them, and through them in turn."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from helpers import DTYPES, RTOL, assert_same_bits_by_any_team, distance
from layer_networks import POSITIONED, assert_gradient

import fastnet as fn


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

    def test_branches_are_joined_at_each_position(self, rng):
        layers = [fn.Concat([fn.Dense(2, "identity")], [], [fn.Dense(1, "identity")])]
        net = fn.Network(layers, input_shape=(3, 4), dtype="float64", random_state=0)
        X = rng.standard_normal((7, 3, 4))
        first, third = (X @ net.parameters[f"1.{branch}.1.W"] for branch in (1, 3))
        assert net.output_shape == (3, 7)
        assert distance(net.activations(X)[1], np.concatenate([first, X, third], axis=2)) < 1e-13

    def test_columns_of_positions_are_flat(self, rng):
        net = fn.Network([fn.Columns(range(12)), fn.Dense(2)], input_shape=(3, 4), random_state=0)
        assert net.weights[0].shape == (12, 2)

    @pytest.mark.parametrize(
        ("layer", "shape", "message"),
        [
            (fn.Concat([fn.Conv1d(2, 3)], []), (6, 2), r"rows of shape \(4, 2\), \(6, 2\)"),
            (fn.Concat([fn.GlobalPool()], []), (6, 2), r"rows of shape \(2,\), \(6, 2\)"),
            (fn.Residual([fn.Conv1d(4, 3, stride=2, padding="same")]), (6, 2), r"got \(3, 4\) and \(6, 2\)"),
            (fn.Residual([fn.GRU(12)]), (6, 2), r"got \(12,\) and \(6, 2\)"),
            (fn.Residual([fn.Conv2d(8, 3, stride=2, padding="same")]), (4, 4, 2), r"got \(2, 2, 8\) and \(4, 4, 2\)"),
            (fn.Residual([fn.Dense(5)]), (6, 2), r"got 5 and 2; end with Dense\(2, 'identity'\)"),
        ],
    )
    def test_branches_that_do_not_fit(self, layer, shape, message):
        with pytest.raises(ValueError, match=message):
            fn.Network([layer, fn.Flatten(), fn.Dense(2)], input_shape=shape)

    def test_errors_name_the_layer(self):
        layers = [fn.Dense(3), fn.Concat([], [fn.Dense(3), fn.Residual([fn.Dense(2)])])]
        with pytest.raises(ValueError, match=r"^Layer 2\.2\.2: Residual adds"):
            fn.Network(layers, n_inputs=4)

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

        def compute():
            net = self.build(hidden)
            net.fit(X, y, batch_size=256, epochs=2, random_state=0)
            return net.params, net.forward(X)

        assert_same_bits_by_any_team(compute)

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
