"""Ids that a language model draws."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn

N_IDS, T = 5, 6


def network(ragged=False, causal=True, **options):
    layers = [fn.Embedding(N_IDS, 8), fn.Positions(), fn.TransformerBlock(2, causal=causal), fn.LayerNorm()]
    layers = [*layers, fn.Dense(N_IDS, "softmax")]
    return fn.Network(layers, input_shape=(T,), ragged=ragged, **{"random_state": 0} | options)


@pytest.fixture(scope="module")
def counting():
    """A network that has learnt to count: each id is followed by the next, and the last by the first."""
    X = (np.arange(T) + np.arange(N_IDS)[:, None]) % N_IDS
    net = network()
    net.fit(X, (X + 1) % N_IDS, epochs=150, batch_size=5, optimizer=fn.Adam(0.01), random_state=0)
    return net


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("options", [{"temperature": 0}, {"top_k": 1}, {"temperature": 1e-3}, {"temperature": 1e-320}, {}])
def test_a_network_that_counts_goes_on_counting(counting, options):
    """Also beyond the positions that it sees at a time."""
    ids = counting.generate([2, 3], 20, random_state=0, **options)
    assert ids.tolist() == [(4 + i) % N_IDS for i in range(20)]


@pytest.mark.parametrize("ragged", [False, True])
def test_draws_follow_the_softmax(ragged):
    """Of a network whose softmax is the same after any id."""
    net = fn.Network([fn.Embedding(N_IDS, 2), fn.Dense(N_IDS, "softmax")], input_shape=(3,), ragged=ragged, random_state=0)
    net.parameters["1.E"][...] = 0.7
    p = net.forward([[0]])[0, 0] if ragged else net.forward([0, 0, 0])[0]

    def shares(**options):
        return np.bincount(net.generate([0], 700, random_state=0, **options), minlength=N_IDS) / 700

    assert np.abs(shares() - p).max() < 0.05
    assert np.abs(shares(temperature=0.5) - p**2 / (p**2).sum()).max() < 0.05
    likely = np.argsort(-p)[:2]
    of_likely = np.where(np.isin(np.arange(N_IDS), likely), p, 0)
    assert np.abs(shares(top_k=2) - of_likely / of_likely.sum()).max() < 0.05
    assert set(np.flatnonzero(shares(top_k=2))) == set(likely)


@pytest.mark.parametrize("net", [network(), network(ragged=True), network(dtype="float64")])
@pytest.mark.parametrize("n_seen", [1, 4])
def test_single_steps_draw_what_whole_rows_do(net, n_seen, monkeypatch):
    """Both ways of a network whose layers go step by step, until its positions end."""
    stepwise = net.generate(range(n_seen), T - n_seen + 1, random_state=0)

    def no_steps(network):
        raise ValueError

    monkeypatch.setattr("fastnet._generation.steps_of", no_steps)
    assert np.array_equal(net.generate(range(n_seen), T - n_seen + 1, random_state=0), stepwise)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("block", [[], [fn.TransformerBlock(2, causal=True)]])
def test_a_network_that_sees_one_id(ragged, block):
    """Each id is drawn given the one before, as by a network that sees more of them but looks at one."""
    layers = [fn.Embedding(N_IDS, 4), *block, fn.Dense(N_IDS, "softmax")]
    net = fn.Network(layers, input_shape=(1,), ragged=ragged, random_state=0)
    net.params[:] *= 3
    ids = [2, *net.generate([4, 2], 10, temperature=0)]
    assert ids[1:] == [net.predict([[number]])[0] for number in ids[:-1]]


def test_layers_without_single_steps():
    net = fn.Network([fn.Embedding(N_IDS, 4), fn.Conv1d(N_IDS, 3, "softmax", padding="causal")], input_shape=(T,), random_state=0)
    with pytest.raises(ValueError, match="got Conv1d"):
        net.step(0)
    row = np.array([2, *net.generate([2], T - 1, temperature=0)])
    np.testing.assert_array_equal(net.predict(row)[:-1], row[1:])


def test_each_id_is_drawn_after_those_before():
    net = network()
    ids = net.generate([3], 9, temperature=0)
    seen = [3]
    for number in ids:
        last = seen[-T:]
        row = np.zeros(T)
        row[: len(last)] = last
        assert number == net.predict(row)[len(last) - 1]
        seen.append(number)


def test_seeds_and_none():
    net = network()
    assert np.array_equal(net.generate([0], 30, random_state=1), net.generate([0], 30, random_state=1))
    assert not np.array_equal(net.generate([0], 30, random_state=1), net.generate([0], 30, random_state=2))
    assert net.generate([0], 0).shape == (0,)


@pytest.mark.parametrize(
    ("net", "arguments", "message"),
    [
        (network(causal=False), ([1], 3), "give Attention and TransformerBlock causal=True"),
        (fn.Network([fn.Dense(3, "softmax")], 4), ([1], 3), "softmax at each position"),
        (fn.Network([fn.Dense(3, "softmax")], input_shape=(4, 2)), ([1], 3), "softmax at each position"),
        (network(), ([], 3), "prompt must be at least one id"),
        (network(), ([N_IDS], 3), "from 0 to 4"),
        (network(), ([0.5], 3), "from 0 to 4"),
        (network(), ([1], -1), "n must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused(net, arguments, message):
    with pytest.raises(ValueError, match=message):
        net.generate(*arguments)
