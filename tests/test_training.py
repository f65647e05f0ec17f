"""Network.fit: its length, the order of the rows, the data it accepts, and what it records."""

from __future__ import annotations

import platform
import threading

import numpy as np
import pytest
from helpers import distance, network

import fastnet as fn
from fastnet._data import validated
from fastnet._loop import train
from fastnet._sampling import Sampler
from fastnet._session import Session

M, N = 50, 4


@pytest.fixture
def data():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((M, N))
    return X, (X @ [1.0, -2.0, 0.5, 0.0] > 0).astype(int)


def small(dtype="float64", dropout=0.0):
    return network([fn.Dense(6, "tanh", dropout=dropout), fn.Dense(2, "softmax")], N, dtype)


def session_on(net, X, y, **options):
    loss = fn.CrossEntropy()
    X, y, _ = validated(X, y, None, net.n_inputs, net.n_outputs, loss, net.dtype)
    return Session(net, X, y, **{"loss": loss, "optimizer": "adam", "batch_size": 8, "random_state": 0, **options})


@pytest.mark.parametrize("sampling", ["shuffle", "random", "sequential"])
def test_fit_learns_and_records(data, dtype, sampling):
    net = small(dtype)
    history = net.fit(*data, optimizer=fn.Adam(0.02), epochs=40, batch_size=8, sampling=sampling, random_state=0)
    assert len(history) == len(history.seconds) == len(history.learning_rate) == 40
    assert history.loss[-1] < 0.5 * history.loss[0]
    assert history.best_epoch > 20
    assert history.val_loss == []
    assert all(s > 0 for s in history.seconds)
    assert np.isnan(history.grad_norm).all()
    assert history.n_rows == [56 if sampling == "random" else M] * 40
    assert fn.History(**history.as_dict()).loss == history.loss


def test_iterations_end_within_an_epoch(data):
    session = session_on(small(), *data)
    assert session.steps_per_epoch == 7
    train(session, iterations=16)
    assert session.step == 16
    assert session.history.n_rows == [50, 50, 16]
    assert session.planned_rows == 116
    train(session, iterations=20)
    assert session.step == 20


def test_epochs_count_what_was_done_before(data):
    session = session_on(small(), *data)
    train(session, epochs=2)
    train(session, epochs=5)
    train(session, epochs=3)
    assert session.epoch == 5
    assert session.step == 35
    assert session.planned_rows == 150


def test_one_epoch_is_its_batches_one_by_one(data):
    """An epoch in one call of the core gives the same as a call for each update."""
    X, y = data
    order = np.random.default_rng(0).permutation(M)
    whole, single = small(), small()
    whole.fit(X, y, optimizer="adam", epochs=1, batch_size=8, sampling=lambda session: order)
    session = session_on(single, X, y, sampling=lambda session: order[8 * session.epoch : 8 * session.epoch + 8])
    for _ in range(7):
        session.run_epoch()
    assert np.array_equal(whole.params, single.params)


def rows_seen(sampling, epochs, batch_size, m=12):
    """Row numbers of each update: with one-hot features and learning rate 1, an update changes the weights of its rows only."""
    net = fn.Network([fn.Dense(1, "identity", initializer="zeros")], m, dtype="float64")
    X, y, _ = validated(np.eye(m), np.arange(1.0, m + 1), None, m, 1, fn.SquaredError(), net.dtype)
    session = Session(
        net, X, y, loss="squared_error", optimizer=fn.SGD(1.0), batch_size=batch_size, sampling=sampling, random_state=3
    )
    seen = []
    for _ in range(epochs):
        done = session.step
        epoch = []
        before = session.position()
        for k in range(1, session.steps_per_epoch + 1):
            session.restore(before)
            net.params[:] = 0
            session.run_epoch(max_batches=k)
            assert session.step == done + k
            epoch.append(set(np.flatnonzero(net.weights[0])) - set().union(*epoch))
        seen.append(epoch)
    return seen


def test_shuffle_visits_every_row_once_in_a_new_order():
    first, second = rows_seen("shuffle", 2, 3)
    assert set().union(*first) == set().union(*second) == set(range(12))
    assert [len(batch) for batch in first] == [3, 3, 3, 3]
    assert first != second
    assert first != [{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {9, 10, 11}]


@pytest.mark.parametrize("numbers", ["int16", "int32", "longlong", "int64", "uint8", "bool", "float64"])
@pytest.mark.parametrize("sampling", ["shuffle", "sequential"])
def test_class_numbers_of_any_dtype_train_and_evaluate_alike(data, numbers, sampling):
    """int32 and int64 are read in place, others are converted; longlong may be another dtype than int64."""
    X, y = data
    one, other = small(), small()
    options = dict(epochs=2, batch_size=8, sampling=sampling, random_state=0, validation_data=(X, y))
    history = one.fit(X, y.astype(np.int32), **options)
    other_history = other.fit(X, y.astype(numbers), **(options | {"validation_data": (X, y.astype(numbers))}))
    assert np.array_equal(one.params, other.params)
    assert (history.loss, history.val_loss) == (other_history.loss, other_history.val_loss)
    loss, grads = one.loss_and_grad(X, y.astype(np.int32))
    other_loss, other_grads = one.loss_and_grad(X, y.astype(numbers))
    assert loss == other_loss
    assert np.array_equal(grads.flat, other_grads.flat)


@pytest.mark.parametrize("sampling", ["shuffle", "random", lambda session: [0]])
def test_more_rows_than_row_numbers_are_refused_before_memory_is_taken(sampling):
    with pytest.raises(ValueError, match="X has 4294967297 rows; row numbers have 32 bits"):
        Sampler(sampling, 2**32 + 1, 10, np.zeros(4, np.uint64))
    assert Sampler("sequential", 2**32 + 1, 10, np.zeros(4, np.uint64)).next_order(None) is None


def test_sequential_keeps_the_order():
    assert rows_seen("sequential", 1, 5)[0] == [{0, 1, 2, 3, 4}, {5, 6, 7, 8, 9}, {10, 11}]


def test_random_draws_fresh_batches_without_repetition():
    net = fn.Network([fn.Dense(1, "identity")], 2, random_state=0)
    X, y, _ = validated(np.ones((10, 2)), np.ones(10), None, 2, 1, fn.SquaredError(), net.dtype)
    session = Session(net, X, y, loss="squared_error", optimizer="sgd", batch_size=4, sampling="random", random_state=0)
    counts = np.zeros(10)
    for _ in range(1000):
        order = session._sampler.next_order(session)
        assert order.shape == (12,)
        for batch in order.reshape(3, 4):
            assert len(set(batch)) == 4
            counts[batch] += 1
    assert counts.sum() == 12_000
    assert np.abs(counts - 1200).max() < 5 * np.sqrt(1200)


def test_batches_larger_than_the_data_are_the_data(data):
    one, other = small(), small()
    one.fit(*data, batch_size=M, epochs=3, sampling="sequential")
    other.fit(*data, batch_size=10 * M, epochs=3, sampling="sequential")
    assert np.array_equal(one.params, other.params)


def test_validation_loss_is_the_loss_after_the_epoch(data):
    X, y = data
    w = np.linspace(0.1, 1, 20)
    net = small()
    history = net.fit(X, y, epochs=3, validation_data=(X[:20], y[:20], w), random_state=0)
    assert len(history.val_loss) == 3
    assert history.val_loss[-1] == pytest.approx(net.loss(X[:20], y[:20], sample_weight=w), rel=1e-12)


def test_training_loss_is_the_mean_before_the_updates(data):
    X, y = data
    net = small()
    before, penalty = net.loss(X, y), net.loss(X, y, l2=0.1) - net.loss(X, y)
    history = net.fit(X, y, epochs=1, batch_size=M, l2=0.1)
    assert history.loss[0] == pytest.approx(before, rel=1e-12)
    assert history.penalty[0] == pytest.approx(penalty, rel=1e-12)


def test_gradient_norm_is_tracked_on_request(data):
    X, y = data
    net = small()
    norm = np.linalg.norm(net.loss_and_grad(X, y)[1].flat)
    history = net.fit(X, y, epochs=1, batch_size=M, track_grad_norm=True)
    assert history.grad_norm[0] == pytest.approx(norm, rel=1e-10)


def test_l2_and_weight_decay_shrink_weights(data):
    norms = {}
    for name, options in {"none": {}, "l2": {"l2": 0.1}, "decay": {"weight_decay": 0.1}}.items():
        net = small()
        net.fit(*data, optimizer=fn.SGD(0.1), epochs=30, random_state=0, **options)
        norms[name] = np.linalg.norm(net.params[: net.n_weights])
    assert norms["l2"] < 0.9 * norms["none"]
    assert norms["decay"] < 0.9 * norms["none"]
    assert norms["l2"] == pytest.approx(norms["decay"], rel=1e-9)  # of plain gradient descent they are the same


def test_adamw_decays_by_its_own_rate_unless_told_otherwise(data):
    def params(optimizer, **options):
        net = small()
        net.fit(*data, optimizer=optimizer, epochs=3, random_state=0, **options)
        return net.params

    assert np.array_equal(params(fn.AdamW(weight_decay=0.2)), params(fn.Adam(), weight_decay=0.2))
    assert np.array_equal(params(fn.AdamW(weight_decay=0.1), weight_decay=0.2), params(fn.Adam(), weight_decay=0.2))
    assert not np.array_equal(params(fn.AdamW()), params(fn.Adam()))


def test_dropout_changes_training_but_not_prediction(data):
    plain, dropped = small(), small(dropout=0.5)
    assert np.array_equal(plain.forward(data[0]), dropped.forward(data[0]))
    for net in (plain, dropped):
        net.fit(*data, epochs=2, random_state=0)
    assert not np.array_equal(plain.params, dropped.params)


def test_zero_weights_are_rows_left_out(data):
    X, y = data
    w = np.ones(M)
    w[10:20] = 0
    weighted, without = small(), small()
    weighted.fit(X, y, optimizer=fn.SGD(0.1), sample_weight=w, epochs=5, batch_size=10, sampling="sequential")
    keep = w > 0
    without.fit(X[keep], y[keep], optimizer=fn.SGD(0.1), epochs=5, batch_size=10, sampling="sequential")
    assert distance(weighted.params, without.params) < 1e-12


def test_quantile_network_learns_ordered_quantiles():
    rng = np.random.default_rng(0)
    X = np.ones((4000, 1))
    y = rng.standard_normal(4000)
    net = fn.Network([fn.Dense(3, "identity")], 1, random_state=0)
    rate = fn.Cosine(0.02)
    net.fit(X, y, loss=fn.Quantile((0.1, 0.5, 0.9)), epochs=20, batch_size=100, learning_rate=rate, random_state=0)
    assert net.forward([1.0]) == pytest.approx(np.quantile(y, (0.1, 0.5, 0.9)), abs=0.05)


@pytest.mark.parametrize("sampling", ["shuffle", "random", "sequential"])
@pytest.mark.parametrize("optimizer", [fn.Adam(0.02), fn.SGD(0.05, momentum=0.9)])
def test_a_restored_position_continues_bit_for_bit(data, sampling, optimizer):
    options = {"sampling": sampling, "optimizer": optimizer, "learning_rate": fn.InverseScaling(0.05)}
    first = session_on(small(dropout=0.3), *data, **options)
    train(first, epochs=3)
    position = first.position()
    train(first, epochs=6)
    second = session_on(small(dropout=0.3), *data, **{**options, "random_state": 99})
    second.restore(position)
    train(second, epochs=6)
    assert np.array_equal(first.network.params, second.network.params)
    assert first.history.loss == second.history.loss
    assert (first.epoch, first.step) == (second.epoch, second.step) == (6, 42)


def test_a_position_of_another_run_is_refused(data):
    position = session_on(small(), *data).position()
    other = session_on(network([fn.Dense(2, "softmax")], N), *data)
    before = other.network.params.copy()
    with pytest.raises(ValueError, match="it belongs to another run"):
        other.restore(position)
    with pytest.raises(ValueError, match="The optimiser keeps 0 vectors, the position holds 2"):
        session_on(small(), *data, optimizer="sgd").restore(position)
    assert np.array_equal(other.network.params, before)


def test_two_fits_of_one_network_at_once_are_refused(data):
    net = small()
    started, ended = threading.Event(), threading.Event()

    class Wait(fn.Callback):
        def on_epoch_end(self, session):
            started.set()
            ended.wait(60)

    thread = threading.Thread(target=net.fit, args=data, kwargs={"epochs": 1, "callbacks": [Wait()]})
    thread.start()
    try:
        assert started.wait(60)
        with pytest.raises(RuntimeError, match="This network is being trained already"):
            net.fit(*data, epochs=1)
        with pytest.raises(RuntimeError, match="This network is being trained already"):
            net.fit(*data, epochs=1, optimizer="lbfgs")
    finally:
        ended.set()
        thread.join()
    net.fit(*data, epochs=1)


def test_lbfgs(data):
    X, y = data
    net = small()
    history = net.fit(X, y, optimizer=fn.LBFGS(), epochs=100, l2=1e-2, validation_data=(X, y))
    assert 5 < len(history) <= 100
    objective = np.add(history.loss, history.penalty)
    assert (np.diff(objective) < 0).all()
    assert history.loss[-1] == pytest.approx(net.loss(X, y), rel=1e-9)
    assert history.val_loss[-1] == pytest.approx(net.loss(X, y), rel=1e-12)
    assert np.abs(net.loss_and_grad(X, y, l2=1e-2)[1].flat).max() < 1e-2


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"learning_rate": 0.1}, "learning_rate"),
        ({"learning_rate": np.array([0.1, 0.2])}, "learning_rate"),
        ({"callbacks": [fn.Callback()]}, "callbacks"),
        ({"progress": True, "max_grad_norm": 1.0}, "max_grad_norm, progress"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"sampling": lambda session: None}, "a function as sampling"),
        ({"max_grad_norm": 0.0}, "max_grad_norm"),
        ({"weight_decay": "much"}, "weight_decay"),
        ({"schedules": {"dropout": 0.5}, "augment": fn.augment.Jitter()}, "augment, schedules"),
    ],
)
def test_lbfgs_refuses_what_it_cannot_use(data, options, named):
    with pytest.raises(ValueError, match=f"L-BFGS works on all data at once and cannot use {named}"):
        small().fit(*data, optimizer="lbfgs", **options)
    with pytest.raises(ValueError, match="without dropout"):
        small(dropout=0.1).fit(*data, optimizer="lbfgs")


def test_lbfgs_takes_options_that_ask_for_nothing(data):
    nothing = {"learning_rate_factors": {}, "callbacks": [], "progress": False, "weight_decay": 0, "batch_size": 32}
    for options in (nothing, {"random_state": 3, "batch_size": 7, "sampling": "random"}):
        net = small()
        assert net.fit(*data, optimizer="lbfgs", epochs=2, **options).loss == small().fit(*data, optimizer="lbfgs", epochs=2).loss


@pytest.mark.parametrize(
    "option",
    [
        {"random_state": "seed"},
        {"n_threads": 0},
        {"l2": -1},
        {"max_time": 0},
        {"buffer": 2},
        {"batch_size": 0},
        {"sampling": "at random"},
    ],
    ids=str,
)
def test_lbfgs_checks_what_matters_to_others(data, option):
    net = small()
    before = net.params.copy()
    with pytest.raises((ValueError, TypeError), match=next(iter(option))):
        net.fit(*data, optimizer="lbfgs", **option)
    assert np.array_equal(net.params, before)


def test_a_session_takes_no_lbfgs(data):
    with pytest.raises(TypeError, match="A session needs a rule that works on batches, got 'lbfgs'"):
        session_on(small(), *data, optimizer="lbfgs")


def test_an_error_in_lbfgs_leaves_the_last_accepted_iterate(data):
    from fastnet._lbfgs import minimise, on_rows

    X, y = data
    seen = []

    def stop(result):
        seen.append(result.x.copy())
        if len(seen) == 4:
            raise KeyboardInterrupt

    net = small()
    X, y, _ = validated(X, y, None, N, 2, fn.CrossEntropy(), net.dtype)
    with pytest.raises(KeyboardInterrupt):
        minimise(net, on_rows(X, y, loss=fn.CrossEntropy()), callback=stop)
    assert np.array_equal(net.params, seen[-1])
    result = minimise(net, on_rows(X, y, loss=fn.CrossEntropy()), callback=lambda result: True)
    assert result.nit == 1


@pytest.mark.parametrize("n_threads", [1, 2])
def test_denormal_numbers_are_zeros_while_the_core_trains_and_no_longer(n_threads):
    """Their arithmetic takes a hundred times as long; the caller's thread is left as it was."""
    tiny = np.array([1e-40, 2e-39], np.float32)
    net = fn.Network([fn.Dense(1, "identity")], 2, random_state=0)
    net.params[:] = [1e-39, 1, 0]
    net.fit(np.ones((400, 2), np.float32), np.ones(400), optimizer=fn.SGD(0.0), epochs=1, n_threads=n_threads)
    assert (tiny * np.float32(0.5) > 0).all()
    if platform.machine().lower() in ("x86_64", "amd64", "aarch64", "arm64"):
        assert net.params[0] == 0
