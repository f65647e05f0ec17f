"""Attention and the layers around it: twins, finite differences, what each position may see, rows of unequal length."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from helpers import DTYPES, RTOL, assert_same_bits_by_any_team, distance
from layer_networks import assert_gradient

import fastnet as fn
from fastnet._core import core
from fastnet._session import Session
from fastnet.layers.attention import Attending

T, D = 7, 6
#: Layers that read rows (T, D) or ids (T,), and make one position of them.
CHAINS = {
    "attention": [fn.Attention(2), fn.GlobalPool()],
    "one-head": [fn.Attention(1), fn.Last()],
    "causal": [fn.Attention(3, causal=True), fn.GlobalPool("max")],
    "heads-of-one": [fn.Dense(4, "tanh"), fn.Attention(4), fn.GlobalPool()],
    "wide-heads": [fn.Dense(40, "tanh"), fn.Attention(2, causal=True), fn.GlobalPool()],
    "block": [fn.TransformerBlock(2, 9), fn.LayerNorm(), fn.GlobalPool()],
    "blocks": [
        fn.Dense(8, "identity"), fn.Positions(), *(fn.TransformerBlock(2, 5, causal=c) for c in (False, True, False)),
        fn.LayerNorm(), fn.GlobalPool(),
    ],
    "sinusoidal": [fn.Dense(5, "tanh"), fn.Positions("sinusoidal"), fn.Attention(1), fn.GlobalPool()],
    "ids": [fn.Embedding(11, 8), fn.Positions(), fn.TransformerBlock(4, activation="tanh"), fn.GlobalPool()],
    "concat": [fn.Concat([fn.GlobalPool()], [fn.Attention(3), fn.Residual([fn.Attention(2)]), fn.Last()])],
}  # fmt: skip
#: Layers that read flat rows of T numbers.
TOKENS = {
    "tokens": [fn.FeatureTokens(4), fn.TransformerBlock(2, 8), fn.Last()],
    "tokens-and-categories": [
        fn.Concat([fn.CategoryEmbedding([3, 4], 4, columns=[0, 5])], [fn.FeatureTokens(4, columns=[1, 2, 3, 4]), fn.Flatten()]),
        fn.Reshape((7, 4)),
        fn.TransformerBlock(1, 5),
        fn.Last(),
    ],
}


def build(chain, output="identity", n_out=2, *, length=T, **options):
    shape = (length,) if chain in (*TOKENS, "ids") else (length, D)
    layers = [*(CHAINS | TOKENS)[chain], fn.Dense(n_out, output)]
    net = fn.Network(layers, input_shape=shape, **{"random_state": 0, "dtype": "float64"} | options)
    rng = np.random.default_rng(1)
    for name, view in net.parameters.items():
        noise = rng.standard_normal(view.shape)
        view[...] += 0.3 * noise if chain != "sinusoidal" or not name.endswith("P") else 0
    return net


def rows(chain, m, rng, length=T):
    if chain == "ids":
        return rng.integers(0, 11, (m, length)).astype(float)
    X = rng.standard_normal((m, length) if chain in TOKENS else (m, length, D))
    if chain == "tokens-and-categories":
        X[:, [0, 5]] = rng.integers(0, 4, (m, 2))
    return X


def gradient_check(net, X, loss, rng, numeric):
    assert_gradient(net, X.reshape(len(X), -1), loss, rng, numeric=numeric, h=1e-5)


class TestCoreAndTwin:
    @pytest.mark.parametrize("chain", [*CHAINS, *TOKENS])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_outputs(self, chain, dtype, rng):
        net = build(chain, "softmax", 3, dtype=dtype)
        X = rows(chain, 70, rng).astype(dtype)
        wide = {name: view.astype(np.float64) for name, view in net.parameters.items()}
        _, expected = net._graph.forward(wide, X.reshape(70, -1).astype(np.float64))
        A = net.forward(X)
        assert distance(A, expected[-1]) < 30 * RTOL[dtype]
        assert distance(np.stack([net.forward(x) for x in X[:3]]), A[:3]) < 30 * RTOL[dtype]
        assert distance(net.activations(X)[-1], A) == 0

    @pytest.mark.parametrize("chain", [*CHAINS, *TOKENS])
    @pytest.mark.parametrize(("output", "loss"), [("identity", "squared_error"), ("softmax", "cross_entropy")])
    def test_gradients(self, chain, output, loss, rng):
        numeric = output == "identity" and chain not in ("sinusoidal", "wide-heads")
        gradient_check(build(chain, output), rows(chain, 6, rng), loss, rng, numeric)

    @pytest.mark.parametrize("chain", ["blocks", "ids", "tokens"])
    def test_gradients_of_many_rows(self, chain, rng):
        gradient_check(build(chain), rows(chain, 1100, rng), "squared_error", rng, numeric=False)

    @pytest.mark.parametrize("causal", [False, True])
    def test_more_queries_than_are_made_at_a_time(self, causal, rng):
        net = fn.Network([fn.Attention(2, causal), fn.Last(), fn.Dense(2, "identity")], input_shape=(150, 4), dtype="float64")
        gradient_check(net, rng.standard_normal((3, 150, 4)), "squared_error", rng, numeric=False)

    @pytest.mark.parametrize("chain", ["blocks", "tokens", "ids"])
    def test_gradients_in_float32(self, chain, rng):
        nets = [build(chain, dtype=dtype) for dtype in DTYPES]
        nets[1].params[:] = nets[0].params
        X, y = rows(chain, 60, rng).astype(np.float32), rng.random((60, 2)).astype(np.float32)
        narrow, wide = (net.loss_and_grad(X, y)[1].flat for net in nets)
        assert distance(narrow, wide) < 1e-4

    @pytest.mark.parametrize("chain", ["blocks", "causal", "tokens", "ids"])
    def test_threads_do_not_change_bits(self, chain, rng):
        X, y = rows(chain, 150, rng), rng.random((150, 2))

        def compute():
            net = build(chain, dtype="float32")
            net.fit(X, y, batch_size=64, epochs=2, random_state=0)
            return net.params, net.forward(X)

        assert_same_bits_by_any_team(compute)

    @pytest.mark.parametrize("chain", [*CHAINS, *TOKENS])
    def test_files_pickles_and_copies(self, chain, rng, tmp_path):
        net, X = build(chain), rows(chain, 6, rng)
        net.save(tmp_path / "net.safetensors")
        for other in (fn.load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
            assert other.layers == net.layers
            assert np.array_equal(other.forward(X), net.forward(X))
            assert list(other.parameters) == list(net.parameters)
        assert f"{net.n_params:,} parameters" in net.summary()

    def test_large_scores(self, rng):
        """Scores whose exponentials would overflow choose one key."""
        net = build("one-head")
        net.parameters["1.qkv.W"][...] *= 1e3
        X = rows("one-head", 5, rng)
        _, expected = net._graph.forward(net.parameters, X.reshape(5, -1))
        assert np.isfinite(expected[-1]).all()
        assert distance(net.forward(X), expected[-1]) < 1e-10


class TestCrossAttention:
    """The operation whose queries and keys come from two layers."""

    SIZES = {"n_heads": 2, "n_queries": 4, "n_keys": 5, "width": 6, "alone": False}

    @pytest.mark.parametrize("with_lengths", [False, True])
    def test_core_and_twin(self, with_lengths, rng):
        heads = Attending(**self.SIZES)
        graph = fn.layers.Graph(fn.layers.Inputs((9,)))
        with graph.within("q"):
            q = fn.Dense(24, "tanh").connect(graph, 0)
        with graph.within("kv"):
            kv = fn.Dense(60, "tanh").connect(graph, 0)
        lengths = [graph.add(fn.layers.joins.Selection(n_in=9, columns=(8,)), 0)] if with_lengths else []
        graph.add(heads, q, kv, *lengths)
        plan = graph.plan()
        params = rng.standard_normal(plan.n_params) / 3
        X, Y = rng.standard_normal((8, 9)), rng.standard_normal((8, 24))
        X[:, 8] = rng.integers(0, 6, 8)
        named = graph.parameters(plan, params)
        Z, A = graph.forward(named, X)
        out, gradient = np.empty((8, 24)), np.empty(plan.n_params)
        core.forward(plan, params, X, out)
        assert distance(out, A[-1]) < 1e-13
        core.loss_and_grad(plan, params, fn.SquaredError().core_form(24), X, Y, None, gradient)
        expected, _ = graph.backward(named, Z, A, (A[-1] - Y) / 8)
        for name, view in graph.parameters(plan, gradient).items():
            assert distance(view, expected[name]) < 1e-12, name

    @pytest.mark.parametrize("change", [{"n_heads": 4}, {"n_keys": 4}, {"causal": True}, {"n_queries": 0}])
    def test_what_does_not_fit_is_refused(self, change):
        heads = Attending(**self.SIZES)
        object.__setattr__(heads, next(iter(change)), next(iter(change.values())))
        code, dims = core.LAYER_CODES["attention"], heads.dims
        layers = [(core.LAYER_CODES["dense"], (0,), (1, 3, n, 1, 1), (), 1.0, 0, 0.0, 0.0) for n in (24, 60)]
        with pytest.raises(ValueError, match="layer 3"):
            core.Plan(3, [*layers, (code, (1, 2), dims, (), 0.5, 0, 0.0, 0.0)])


class TestWhatPositionsSee:
    def test_attention_knows_no_order(self, rng):
        """Permuted positions give permuted outputs."""
        net = fn.Network([fn.TransformerBlock(2), fn.TransformerBlock(3)], input_shape=(T, D), dtype="float64", random_state=0)
        X, order = rows("attention", 4, rng), rng.permutation(T)
        A, B = (net.forward(x).reshape(4, T, D) for x in (X, X[:, order]))
        assert distance(A[:, order], B) < 1e-12
        assert not np.allclose(A, B)

    @pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
    def test_positions_know_order(self, kind, rng):
        layers = [fn.Positions(kind), fn.Attention(1), fn.GlobalPool()]
        net = fn.Network(layers, input_shape=(T, D), dtype="float64", random_state=0)
        X = rows("attention", 4, rng)
        assert distance(net.forward(X), net.forward(X[:, ::-1])) > 1e-6

    @pytest.mark.parametrize("length", [T, 100])
    def test_causal_outputs_depend_on_no_later_position(self, length, rng):
        layers = [fn.Positions(), *(fn.TransformerBlock(2, causal=True) for _ in range(2))]
        net = fn.Network(layers, input_shape=(length, D), random_state=0)
        X = rng.standard_normal((5, length, D)).astype(np.float32)
        later = X.copy()
        later[:, length - 3 :] = 9
        A, B = (net.forward(x).reshape(5, length, D) for x in (X, later))
        assert np.array_equal(A[:, : length - 3], B[:, : length - 3])
        assert not np.allclose(A[:, length - 3 :], B[:, length - 3 :])

    def test_sinusoidal_positions(self):
        """Their own formula, and the first two of the paper: sin 0 and cos 0."""
        net = fn.Network([fn.Positions("sinusoidal")], input_shape=(9, 5), dtype="float64")
        P = net.parameters["1.P"]
        assert P[0].tolist() == [0, 1, 0, 1, 0]
        for t in range(9):
            for i in range(5):
                angle = t / 10000 ** (i // 2 * 2 / 5)
                assert P[t, i] == pytest.approx(np.cos(angle) if i % 2 else np.sin(angle), abs=1e-14)
        before = P.copy()
        net.fit(np.ones((4, 9, 5)), np.zeros((4, 45)), epochs=1, optimizer=fn.SGD(0.1))
        assert np.array_equal(P, before)

    def test_feature_tokens(self, rng):
        net = fn.Network([fn.FeatureTokens(4)], 3, dtype="float64", random_state=0)
        X = rng.standard_normal((5, 3))
        tokens, W, P = net.forward(X).reshape(5, 4, 4), net.parameters["1.W"], net.parameters["1.P"]
        np.testing.assert_allclose(tokens[:, :3], X[:, :, None] * W[:, 0] + P[:3])
        np.testing.assert_allclose(tokens[:, 3], np.tile(P[3], (5, 1)))
        assert np.abs(net.params).max() <= 0.5

    def test_ids_that_the_table_does_not_have_are_the_first(self):
        net = fn.Network([fn.Embedding(3, 2)], input_shape=(6,), random_state=0)
        E = net.parameters["1.E"]
        np.testing.assert_array_equal(net.forward([[2, 0, 3, -1, np.nan, 1]])[0].reshape(6, 2), E[[2, 0, 0, 0, 0, 1]])

    @pytest.mark.parametrize("deviation", [1.0, 0.1])
    def test_deviation_of_a_table(self, deviation):
        net = fn.Network([fn.Embedding(500, 20, deviation)], input_shape=(1,), random_state=0)
        assert net.params.std() == pytest.approx(deviation, rel=0.02)

    def test_initial_values_are_those_of_torch(self):
        net = fn.Network([fn.Attention(4)], input_shape=(3, 64), random_state=0)
        qkv, out = net.parameters["1.qkv.W"], net.parameters["1.out.W"]
        assert np.abs(qkv).max() == pytest.approx(np.sqrt(6 / (64 + 192)), rel=0.01)
        assert np.abs(out).max() == pytest.approx(1 / 8, rel=0.01)
        assert not net.parameters["1.qkv.b"].any()
        assert not net.parameters["1.out.b"].any()


class TestUnequalLengths:
    LENGTHS = (7, 3, 5, 1, 7, 4)

    def ragged(self, chain, rng):
        return [rows(chain, 1, rng, n)[0] for n in self.LENGTHS]

    def alone(self, net, chain, length):
        """The network for rows of one length, with the same parameters."""
        single = build(chain, "softmax", 3, length=length)
        for name, view in single.parameters.items():
            view[...] = net.parameters[name][: len(view)] if name.endswith(".P") else net.parameters[name]
        return single

    @pytest.mark.parametrize("chain", CHAINS)
    def test_each_row_is_as_it_is_alone(self, chain, rng):
        net, X = build(chain, "softmax", 3, ragged=True), self.ragged(chain, rng)
        y, w = rng.integers(0, 3, len(X)), rng.uniform(0.5, 2, len(X))
        A = net.forward(X)
        J, gradients = net.loss_and_grad(X, y, sample_weight=w)
        losses, total = [], net.views(np.zeros(net.n_params))
        for row, a, target, weight in zip(X, A, y, w, strict=True):
            single = self.alone(net, chain, len(row))
            assert distance(single.forward(row), a) < 1e-12
            assert distance(net.forward([row])[0], a) < 1e-12
            loss, alone = single.loss_and_grad([row], [target])
            losses.append(loss)
            for name, view in single.views(alone.flat).items():
                total[name][: len(view)] += weight / w.sum() * view
        assert J == pytest.approx(np.average(losses, weights=w), rel=1e-12)
        for name, view in net.views(gradients.flat).items():
            assert distance(view, total[name]) < 1e-11, name

    def test_numbers_beyond_the_length_never_matter(self, rng):
        net, X = build("causal", ragged=True), self.ragged("causal", rng)
        inside = net._flat(X)
        for row, n in zip(inside, self.LENGTHS, strict=True):
            row[n * D : -1] = 1e30
        np.testing.assert_array_equal(net.forward(inside), net.forward(X))

    def test_core_and_twin(self, rng):
        net, X = build("blocks", ragged=True), self.ragged("blocks", rng)
        Z, A = net._graph.forward(net.parameters, net._flat(X))
        assert distance(net.forward(X), A[-1]) < 1e-12
        Y = rng.random((len(X), 2))
        twin, _ = net._graph.backward(net.parameters, Z, A, (A[-1] - Y) / len(X))
        for name, view in net.views(net.loss_and_grad(X, Y)[1].flat).items():
            assert distance(view, twin[name]) < 1e-11, name


def test_what_does_not_fit_is_refused():
    def network(layer, shape, **options):
        return fn.Network([layer, fn.Flatten(), fn.Dense(1)], input_shape=shape, **options)

    with pytest.raises(ValueError, match="divides the 6 numbers of each position among its heads, got n_heads=4"):
        network(fn.Attention(4), (3, 6))
    with pytest.raises(ValueError, match=r"Attention takes rows of shape \(length, channels\), got \(6,\)"):
        network(fn.Attention(2), (6,))
    with pytest.raises(ValueError, match=r"TransformerBlock takes rows of shape \(length, channels\), got \(2, 2, 4\)"):
        network(fn.TransformerBlock(2), (2, 2, 4))
    with pytest.raises(ValueError, match="n_heads must be at least 1"):
        fn.TransformerBlock(0)
    with pytest.raises(TypeError, match="'dim_feedforward'; .* Did you mean 'feed_forward'"):
        fn.TransformerBlock(2, dim_feedforward=9)
    with pytest.raises(AttributeError, match="It is called 'Attention' here"):
        fn.MultiheadAttention  # noqa: B018
    with pytest.raises(ValueError, match="'learned', 'sinusoidal'"):
        fn.Positions("rotary")
    with pytest.raises(ValueError, match="n_ids"):
        fn.Embedding(0, 3)
    with pytest.raises(ValueError, match="deviation"):
        fn.Embedding(3, 3, deviation=0)


class TestGradientsOfGroups:
    """Of a batch whose layers make more than the cache holds, gradients are made on the way back, by pieces of groups of rows."""

    LAYERS = (
        fn.Dense(16, "gelu"), fn.Positions("sinusoidal"), fn.TransformerBlock(2, 64, dropout=0.1), fn.LayerNorm(),
        fn.GlobalPool(), fn.Dense(2, "softmax"),
    )  # fmt: skip

    def data(self, rng, ragged):
        X, y = rng.standard_normal((43, 50, D)), rng.integers(0, 2, 43)
        return [row[:n] for row, n in zip(X, rng.integers(1, 51, 43), strict=True)] if ragged else X, y

    def network(self, ragged=False, dtype="float64"):
        return fn.Network(list(self.LAYERS), input_shape=(50, D), ragged=ragged, dtype=dtype, random_state=0)

    def test_slopes_take_turns(self):
        """On the way back, deep networks need no more room than those of one block."""
        deep = [*self.LAYERS[:2], *3 * self.LAYERS[2:3], *self.LAYERS[3:]]
        assert fn.Network(deep, input_shape=(50, D))._plan.slopes == self.network()._plan.slopes

    def test_room_is_that_of_pieces(self, rng):
        X, y = (np.concatenate([part, part]) for part in self.data(rng, False))
        net = self.network()
        options = {"loss": "cross_entropy", "optimizer": "adam", "random_state": 0}
        room = [Session(net, X.reshape(86, -1), y, batch_size=rows, **options)._trainer.workspace_bytes for rows in (40, 80)]
        assert room[1] < 1.1 * room[0]

    @pytest.mark.parametrize("ragged", [False, True])
    def test_gradient(self, ragged, rng):
        """The mean of those of single rows, which are made as one."""
        X, y = self.data(rng, ragged)
        net = self.network(ragged)
        J, gradient = net.loss_and_grad(X, y)
        alone = [net.loss_and_grad(X[i : i + 1], y[i : i + 1]) for i in range(len(y))]
        assert distance(gradient.flat, np.mean([g.flat for _, g in alone], axis=0)) < 1e-12
        assert distance(J, np.mean([loss for loss, _ in alone])) < 1e-12

    @pytest.mark.parametrize("options", [{}, {"max_grad_norm": 0.1}])
    @pytest.mark.parametrize("ragged", [False, True])
    def test_threads_do_not_change_bits(self, options, ragged, dtype, rng):
        X, y = self.data(rng, ragged)

        def compute():
            net = self.network(ragged, dtype)
            net.fit(X, y, batch_size=20, epochs=2, random_state=0, **options)
            return net.params, net.forward(X)

        assert_same_bits_by_any_team(compute)

    def test_updates_are_those_of_the_gradient(self, rng):
        X, y = self.data(rng, False)
        net, twin = self.network(), self.network()
        net.fit(X, y, optimizer=fn.SGD(0.1), batch_size=len(y), epochs=1, sampling="sequential", schedules={"dropout": 0.0})
        twin.params[:] -= 0.1 * twin.loss_and_grad(X, y)[1].flat
        assert distance(net.params, twin.params) < 1e-13
