"""Encoders and decoders: twins, finite differences, what each position may see, rows of unequal length, a task that is learnt."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from helpers import DTYPES, RTOL, assert_same_bits_by_any_team, distance
from layer_networks import assert_gradient

import fastnet as fn
from fastnet._generation import _by_steps
from fastnet._steps import steps_of

S, T, C, D, N_IDS = 6, 5, 3, 8, 7
#: Layers that read sources (S, C), and rows (T,) of ids.
ENCODERS = {
    "blocks": [fn.Dense(6, "identity"), fn.Positions(), fn.TransformerBlock(2, 5), fn.LayerNorm()],
    "bare": [fn.Dense(4, "tanh")],
    "convolutions": [fn.Conv1d(5, 2, "tanh"), fn.MaxPool(2)],
    "recurrent": [fn.GRU(6, return_sequences=True)],
}
DECODERS = {
    "blocks": [fn.Embedding(N_IDS, D), fn.Positions(), *(fn.TransformerBlock(2, 5, causal=True, cross=True) for _ in range(2))],
    "cross": [fn.Embedding(N_IDS, D), fn.CrossAttention(4)],
    "recurrent": [fn.Embedding(N_IDS, D), fn.GRU(6, return_sequences=True), fn.Residual([fn.CrossAttention(1)])],
}
PAIRS = [("blocks", "blocks"), ("convolutions", "cross"), ("recurrent", "recurrent")]


def build(encoder="blocks", decoder="blocks", *, steps=(S, T), **options):
    layers = [fn.EncoderDecoder(ENCODERS[encoder], DECODERS[decoder]), fn.LayerNorm(), fn.Dense(N_IDS, "softmax")]
    shapes = {"source_shape": (steps[0], C), "input_shape": (steps[1],)}
    net = fn.Network(layers, **shapes, **{"random_state": 0, "dtype": "float64"} | options)
    net.params[:] += 0.3 * np.random.default_rng(1).standard_normal(net.n_params)
    return net


def rows(m, rng):
    return rng.standard_normal((m, S, C)), rng.integers(0, N_IDS, (m, T))


def ragged_rows(rng):
    lengths = ((6, 5), (3, 2), (5, 5), (4, 1), (6, 3))
    return [rng.standard_normal((s, C)) for s, _ in lengths], [rng.integers(0, N_IDS, t) for _, t in lengths]


class TestCoreAndTwin:
    @pytest.mark.parametrize("encoder", ENCODERS)
    @pytest.mark.parametrize("decoder", DECODERS)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_outputs(self, encoder, decoder, dtype, rng):
        net, X = build(encoder, decoder, dtype=dtype), rows(30, rng)
        wide = {name: view.astype(np.float64) for name, view in net.parameters.items()}
        _, expected = net._graph.forward(wide, net._flat(X).astype(dtype).astype(np.float64))
        A = net.forward(X)
        assert A.shape == (30, T, N_IDS)
        assert distance(A.reshape(30, -1), expected[-1]) < 30 * RTOL[dtype]
        assert distance(net.forward((X[0][0], X[1][0])), A[0]) < 30 * RTOL[dtype]

    @pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
    def test_gradients(self, encoder, decoder, rng):
        layers = [fn.EncoderDecoder(ENCODERS[encoder], DECODERS[decoder]), fn.GlobalPool(), fn.Dense(2, "identity")]
        net = fn.Network(layers, source_shape=(S, C), input_shape=(T,), dtype="float64", random_state=0)
        net.params[:] += 0.3 * rng.standard_normal(net.n_params)
        assert_gradient(net, net._flat(rows(6, rng)), "squared_error", rng, numeric=True, h=1e-5)

    def test_threads_do_not_change_bits(self, rng):
        X = rows(100, rng)
        y = rng.integers(0, N_IDS, (100, T))

        def compute():
            net = build(dtype="float32")
            net.fit(X, y, batch_size=64, epochs=2, random_state=0)
            return net.params, net.forward(X)

        assert_same_bits_by_any_team(compute)

    @pytest.mark.parametrize("ragged", [False, True])
    def test_files_pickles_and_copies(self, ragged, rng, tmp_path):
        net = build(ragged=ragged)
        X = ragged_rows(rng) if ragged else rows(4, rng)
        net.save(tmp_path / "net.safetensors")
        for other in (fn.load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
            assert (other.layers, other.source_shape, other.input_shape) == (net.layers, (S, C), (T,))
            assert np.array_equal(other.forward(X), net.forward(X))
            assert repr(other) == repr(net)


class TestWhatPositionsSee:
    @pytest.mark.parametrize("decoder", ["blocks", "recurrent"])
    def test_outputs_depend_on_the_source_and_on_no_later_position(self, decoder, rng):
        net, (sources, ids) = build(decoder=decoder), rows(4, rng)
        A, later = net.forward((sources, ids)), ids.copy()
        later[:, 3:] = (later[:, 3:] + 1) % N_IDS
        B = net.forward((sources, later))
        assert np.array_equal(A[:, :3], B[:, :3])
        assert (np.abs(A[:, 3:] - B[:, 3:]).max(axis=(1, 2)) > 1e-6).all()
        for position in range(S):
            other = sources.copy()
            other[:, position] += 1
            assert (np.abs(A - net.forward((other, ids))).max(axis=2) > 1e-9).all()

    @pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
    def test_each_ragged_row_is_as_it_is_alone(self, encoder, decoder, rng):
        net, (sources, ids) = build(encoder, decoder, ragged=True), ragged_rows(rng)
        y = [rng.integers(0, N_IDS, len(row)) for row in ids]
        A = net.forward((sources, ids))
        J, gradients = net.loss_and_grad((sources, ids), y)
        n, losses, total = sum(map(len, ids)), 0.0, net.views(np.zeros(net.n_params))
        for source, row, target, a in zip(sources, ids, y, A, strict=True):
            single = build(encoder, decoder, steps=(len(source), len(row)))
            for name, view in single.parameters.items():
                view[...] = net.parameters[name][: len(view)]
            assert distance(single.forward((source, row)).reshape(len(row), -1), a[: len(row)]) < 1e-12
            assert not a[len(row) :].any()
            loss, alone = single.loss_and_grad(([source], [row]), [target] if len(row) > 1 else target)
            losses += loss * len(row) / n
            for name, view in single.views(alone.flat).items():
                total[name][: len(view)] += len(row) / n * view
        assert J == pytest.approx(losses, rel=1e-12)
        for name, view in net.views(gradients.flat).items():
            assert distance(view, total[name]) < 1e-11, name

    def test_numbers_beyond_the_lengths_never_matter(self, rng):
        net, X = build(ragged=True), ragged_rows(rng)
        inside = net._flat(X)
        for row, source, ids in zip(inside, *X, strict=True):
            row[len(ids) : T] = 5
            row[T + 1 + source.size : -1] = 1e30
        np.testing.assert_array_equal(net.forward(inside), net.forward(X))


@pytest.fixture(scope="module")
def reversing():
    """A network that has learnt to write its source backwards; 0 begins and ends what is written."""
    encoder = [fn.Embedding(N_IDS, 16), fn.Positions(), fn.TransformerBlock(2), fn.LayerNorm()]
    decoder = [fn.Embedding(N_IDS, 16), fn.Positions(), fn.TransformerBlock(2, causal=True, cross=True), fn.LayerNorm()]
    layers = [fn.EncoderDecoder(encoder, decoder), fn.Dense(N_IDS, "softmax")]
    net = fn.Network(layers, source_shape=(4,), input_shape=(5,), ragged=True, random_state=0)
    rng = np.random.default_rng(0)
    sources = [rng.integers(1, N_IDS, rng.integers(1, 5)) for _ in range(500)]
    targets = [np.append(source[::-1], 0) for source in sources]
    shifted = [np.append(0, target[:-1]) for target in targets]
    net.fit((sources, shifted), targets, optimizer=fn.Adam(0.01), epochs=30, random_state=0)
    assert net.score((sources[:100], shifted[:100]), targets[:100]) > 0.98
    return net


class TestGeneration:
    @pytest.mark.parametrize("source", [[3], [1, 6, 2], [5, 4, 2, 1]])
    def test_a_network_that_reverses(self, reversing, source):
        assert reversing.generate([0], 5, source=source, end=0, temperature=0).tolist() == source[::-1]
        assert reversing.generate([0], 2, source=source, end=0, top_k=1).tolist() == source[::-1][:2]
        assert reversing.generate([0], 5, source=source, end=0, temperature=0.1, random_state=0).tolist() == source[::-1]

    @pytest.mark.parametrize("ragged", [False, True])
    @pytest.mark.parametrize(("encoder", "decoder"), [("blocks", "blocks"), ("convolutions", "recurrent")])
    def test_single_steps_draw_what_whole_rows_do(self, ragged, encoder, decoder, rng):
        """Ids whose probabilities are those of the whole row at each position."""
        net = build(encoder, decoder, ragged=ragged)
        source = rng.standard_normal((4 if ragged else S, C))
        ids = [2, *net.generate([2], T, source=source, temperature=0)]
        A = net.forward(([source], [ids[:T]]))[0]
        assert A.argmax(axis=1).tolist() == ids[1:]
        assert net.generate([2], T, source=source, random_state=3).shape == (T,)

    def test_steps_give_the_whole_rows_probabilities(self, rng):
        net = build(ragged=True)
        source, row = rng.standard_normal((4, C)), rng.integers(0, N_IDS, T).tolist()
        ids = row[:1]
        following = _by_steps(net, source, ids, steps_of(net))
        for t, expected in enumerate(net.forward(([source], [row]))[0], 1):
            np.testing.assert_allclose(next(following), expected, rtol=0, atol=1e-13)
            ids.extend(row[t : t + 1])

    def test_what_cannot_be_is_refused(self, reversing):
        with pytest.raises(ValueError, match="generate needs the source"):
            reversing.generate([0], 3)
        with pytest.raises(ValueError, match="has 5 positions; the network takes 1 to 4"):
            reversing.generate([0], 3, source=[1, 2, 3, 4, 3])
        with pytest.raises(ValueError, match="end must be at most 6"):
            reversing.generate([0], 3, source=[1], end=7)
        with pytest.raises(ValueError, match="first step of a network with an encoder needs what it reads"):
            reversing.step(0)
        alone = fn.Network([fn.Embedding(3, 2), fn.Dense(3, "softmax")], input_shape=(4,))
        with pytest.raises(ValueError, match=r"source is for networks with a fastnet\.EncoderDecoder"):
            alone.generate([0], 3, source=[1])


class TestSteps:
    """One position of rows after the other, with the encoder run once."""

    @pytest.mark.parametrize("ragged", [False, True])
    @pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
    def test_they_are_the_whole_rows(self, encoder, decoder, ragged, rng):
        net = build(encoder, decoder, ragged=ragged)
        sources = [rng.standard_normal((n, C)) for n in ((4, 6, 3) if ragged else (S, S, S))]
        ids = rng.integers(0, N_IDS, (3, T))
        whole = net.forward((sources, ids))
        state = None
        for t in range(T):
            A, state = net.step(ids[:, t], state, source=sources if t == 0 else None)
            np.testing.assert_allclose(A, whole[:, t], rtol=0, atol=1e-13)
        A, state = net.step(ids[1, 0], source=sources[1])
        np.testing.assert_allclose(A, whole[1, 0], rtol=0, atol=1e-13)
        np.testing.assert_allclose(net.step(ids[1, 1], state)[0], whole[1, 1], rtol=0, atol=1e-13)

    def test_the_encoder_runs_once(self, rng):
        """Its parameters, and those that make keys and values, count no more after the first step."""
        net = build()
        source = rng.standard_normal((S, C))
        _, state = net.step(1, source=source)
        A, _ = net.step(2, state)
        for name, view in net.parameters.items():
            if name.startswith("1.encoder") or ".kv." in name:
                view[...] = np.nan
        assert any(np.isnan(view).all() for name, view in net.parameters.items() if ".kv." in name)
        np.testing.assert_array_equal(net.step(2, state)[0], A)
        net.parameters["3.b"][0] += 9
        assert net.step(2, state)[0][0] > A[0]

    def test_what_does_not_fit(self, rng):
        net, sources = build(), rng.standard_normal((2, S, C))
        _, state = net.step([1, 2], source=sources)
        with pytest.raises(ValueError, match="source is for the first step"):
            net.step([1, 2], state, source=sources)
        with pytest.raises(ValueError, match="one for each of the 3 streams of x, got 2"):
            net.step([1, 2, 3], source=sources)
        with pytest.raises(ValueError, match=r"sources of shape \(6, 3\)"):
            net.step([1, 2], source=sources[:, :, 0])
        alone = fn.Network([fn.GRU(3), fn.Dense(1)], input_shape=(4, 2), random_state=0)
        with pytest.raises(ValueError, match="first step of a network with a fastnet.EncoderDecoder"):
            alone.step([1, 2], source=sources)


class TestWhatDoesNotFit:
    @pytest.mark.parametrize(
        ("X", "error", "message"),
        [
            (np.ones((2, T)), TypeError, r"X must be a tuple \(sources, rows\)"),
            ((np.ones((2, S, C)), np.ones((3, T))), ValueError, r"as many sources as rows, got .* \(2, 18\) and \(3, 5\)"),
            ((np.ones((2, S, C)), np.ones((2, T + 1))), ValueError, r"rows of shape \(5,\), got an array of shape \(2, 6\)"),
            ((np.ones((2, S + 1, C)), np.ones((2, T))), ValueError, r"\(rows, 6, 3\), got \(2, 7, 3\)"),
        ],
    )
    def test_data(self, X, error, message):
        with pytest.raises(error, match=message):
            build().forward(X)

    def test_networks(self):
        cross, both = fn.CrossAttention(2), fn.EncoderDecoder([fn.Dense(2)], [fn.Dense(2)])
        with pytest.raises(ValueError, match=r"put it into the decoder of a fastnet\.EncoderDecoder"):
            fn.Network([cross], input_shape=(3, 4))
        with pytest.raises(ValueError, match="must be the first layer of a network with a source"):
            fn.Network([both], input_shape=(3, 4))
        with pytest.raises(ValueError, match="must be the first layer of a network with a source"):
            fn.Network([fn.Dense(4), both], input_shape=(3, 4), source_shape=(2, 2))
        with pytest.raises(ValueError, match="CrossAttention divides the 3 numbers"):
            fn.Network([fn.EncoderDecoder([fn.Dense(2)], [fn.Dense(3), cross])], input_shape=(3, 4), source_shape=(2, 2))
        with pytest.raises(TypeError, match="source_shape needs the input_shape"):
            fn.Network([both], 4, source_shape=(2, 2))
        with pytest.raises(ValueError, match="EncoderDecoder needs CrossAttention in its decoder"):
            fn.Network([both], input_shape=(3, 4), source_shape=(2, 2))
        with pytest.raises(ValueError, match=r"CrossAttention takes rows of shape \(length, channels\), got \(2,\)"):
            fn.Network([fn.EncoderDecoder([fn.Last()], [cross])], input_shape=(3, 4), source_shape=(2, 2))
        with pytest.raises(ValueError, match="EncoderDecoder needs at least one layer"):
            fn.EncoderDecoder([], [fn.Dense(2)])
