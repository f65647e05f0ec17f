"""Edge cases of the core: one-row shares, batches without weight, interrupts between barriers, invalid CSR, large norms."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest
from helpers import distance, reference_loss_and_grad
from scipy import sparse

import fastnet as fn
from fastnet._core import core
from fastnet._session import Session
from fastnet.layers import Graph, Inputs

MSE = (core.LOSS_CODES["squared_error"], 0.0, None)


def trained(n_threads: int, X, y, batch_size, **options):
    net = fn.Network([fn.Dense(300, "tanh"), fn.Dense(y.shape[1], "identity")], X.shape[1], dtype=X.dtype, random_state=0)
    net.fit(X, y, batch_size=batch_size, epochs=2, random_state=0, n_threads=n_threads, **options)
    return net.params


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"max_grad_norm": 0.1}, {"l2": 0.1, "weight_decay": 0.1}])
def test_shares_of_one_row_have_the_same_bits(dtype, options, rng):
    X, y = rng.standard_normal((99, 300)).astype(dtype), rng.standard_normal((99, 301)).astype(dtype)
    alone = trained(1, X, y, 32, **options)  # the last batch has three rows
    for n_threads in (2, 3):
        assert np.array_equal(trained(n_threads, X, y, 32, **options), alone)


class TestBatchesWithoutWeight:
    X = np.arange(20.0).reshape(20, 1)
    y = np.ones((20, 1))
    weight = np.repeat([0.0, 1.0], 10)

    def network(self):
        return fn.Network([fn.Dense(1, "identity", initializer="zeros")], 1, dtype="float64")

    def test_do_not_count_in_the_loss(self):
        net = self.network()
        options = dict(optimizer=fn.SGD(1e-12), batch_size=10, epochs=1, sampling="sequential", track_grad_norm=True)
        history = net.fit(self.X, self.y, sample_weight=self.weight, **options)
        assert history.loss == [pytest.approx(0.5)]
        assert history.n_rows == [10]
        only = self.network().fit(self.X[10:], self.y[10:], **options)
        assert history.grad_norm == [pytest.approx(only.grad_norm[0])]

    def test_count_as_iterations(self):
        history = self.network().fit(
            self.X, self.y, sample_weight=self.weight, batch_size=10, iterations=3, sampling="sequential", optimizer="sgd"
        )
        assert sum(history.n_rows) == 10
        assert np.isnan(history.loss[-1])


def test_an_interrupted_gradient_neither_hangs_nor_returns():
    """A handler raises many times while a team of eight computes gradients, in a process whose lifetime is limited."""
    code = """
        import signal, time
        import numpy as np, fastnet as fn
        class Alarm(Exception): pass
        def handler(*_): raise Alarm
        signal.signal(signal.SIGALRM, handler)
        net = fn.Network([fn.Dense(256, "tanh"), fn.Dense(256, "tanh"), fn.Dense(1, "identity")], 64, random_state=0)
        X, y = np.ones((3000, 64), np.float32), np.ones((3000, 1), np.float32)
        flat, raised, end = np.empty(net.n_params, np.float32), 0, time.monotonic() + 2
        from fastnet._core import core
        from fastnet.losses import SquaredError
        form = SquaredError().core_form(1)
        while time.monotonic() < end and raised < 30:
            signal.setitimer(signal.ITIMER_REAL, 0.03)
            try:
                while True:
                    core.loss_and_grad(net._plan, net.params, form, X, y, None, flat, 8)
            except Alarm:
                raised += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        print("raised", raised)
    """
    if not hasattr(signal, "SIGALRM"):
        pytest.skip("no SIGALRM on this platform")
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 0


class TestHostileCSR:
    """Invalid matrices that scipy's constructors accept must not reach the kernels."""

    @pytest.mark.parametrize(
        "indices, indptr, message",
        [
            ([0, 10**6, 1], [0, 2, 3], "column"),
            ([0, -5, 1], [0, 2, 3], "column"),
            ([2, 0, 1], [0, 2, 3], "sorted"),
            ([0, 1, 2], [0, 3, 2], "fall|entries"),
            ([0, 1, 2], [0, 10**6, 3], "fall"),
            ([0, 1, 2], [0, 1, 4], "entries"),
        ],
    )
    def test_engine_refuses(self, indices, indptr, message):
        plan = fn.Network([fn.Dense(2, "identity")], 3)._plan
        X = (np.ones(3), np.array(indices, np.int32), np.array(indptr, np.int64), (2, 3))
        with pytest.raises(ValueError, match=message):
            core.forward(plan, np.zeros(8), X, np.empty((2, 2)))

    def test_network_refuses(self):
        net = fn.Network([fn.Dense(2, "identity")], 3, random_state=0)
        X = sparse.csr_matrix(np.eye(3, dtype=np.float32))
        X.indices[1] = 10**6
        with pytest.raises(ValueError, match="column"):
            net.forward(X)


def test_prediction_of_wide_sparse_rows_needs_little_memory():
    net = fn.Network([fn.Dense(1, "identity", initializer="zeros")], 2_000_000)
    X = sparse.csr_matrix((3, 2_000_000), dtype=np.float32)
    net.forward(X)
    tracemalloc.start()
    try:
        net.forward(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_clipping_of_a_gradient_whose_squares_overflow():
    net = fn.Network([fn.Dense(1, "identity", initializer="zeros")], 16)
    X = np.full((4, 16), 1e15, np.float32)
    net.fit(X, np.full((4, 1), 1e5, np.float32), optimizer=fn.SGD(1.0), max_grad_norm=1.0, epochs=1, batch_size=4)
    assert np.linalg.norm(net.params) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("z", [-110.0, -95.0, -30.0, 0.0, 30.0])
def test_poisson_loss_is_exact_far_out(z):
    net = fn.Network([fn.Dense(1, "exponential", initializer="zeros")], 1)
    net.biases[0][0] = z
    y = 2.0
    exact = y * np.log(y) - y * z - y + np.exp(z)
    assert net.loss([[0.0]], [[y]], loss="poisson") == pytest.approx(exact, rel=1e-6)


def test_class_numbers_need_softmax():
    plan = fn.Network([fn.Dense(2, "sigmoid")], 3)._plan
    with pytest.raises(ValueError, match="softmax"):
        core.loss(plan, np.zeros(8), (core.LOSS_CODES["cross_entropy"], 0.0, None), np.ones((2, 3)), np.zeros(2, np.int32))


def test_sizes_beyond_the_address_space_are_refused():
    with pytest.raises(ValueError, match="parameters"):
        Graph.of([fn.Dense(2**31 - 1, "identity")] * 4, Inputs((2**31 - 1,)))[0].plan()


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("shape", [(7, 20, 300), (200, 33, 513), (193, 16, 700), (5, 600, 260)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_deeper_and_taller_than_a_panel(shape, transpose_a, transpose_b, dtype, rng):
    m, n, k = shape
    A, B, C = rng.standard_normal((m, k)), rng.standard_normal((k, n)), np.full((m, n), np.nan, dtype)
    a = np.ascontiguousarray((A.T if transpose_a else A).astype(dtype))
    b = np.ascontiguousarray((B.T if transpose_b else B).astype(dtype))
    core.product(a, b, C, transpose_a, transpose_b, blas=False)
    exact = A.astype(dtype).astype(np.float64) @ B.astype(dtype).astype(np.float64)
    assert np.abs(C - exact).max() < k * np.finfo(dtype).eps * 20


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transpose_a", [False, True])
def test_products_whose_strides_are_multiples_of_a_page(dtype, transpose_a, rng):
    m, n, k = (1024, 100, 70) if transpose_a else (200, 130, 1024)
    A, B, C = rng.standard_normal((m, k)), rng.standard_normal((k, n)), np.full((m, n), np.nan, dtype)
    a = np.ascontiguousarray((A.T if transpose_a else A).astype(dtype))
    core.product(a, B.astype(dtype), C, transpose_a, blas=False)
    exact = A.astype(dtype).astype(np.float64) @ B.astype(dtype).astype(np.float64)
    assert np.abs(C - exact).max() < k * np.finfo(dtype).eps * 20


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_long_update_has_the_bits_of_a_short_one(dtype, rng):
    """One worker has so much to do that it makes the whole gradient first; each of two makes its tiles' on the way."""
    m = 900 if dtype == "float32" else 450  # between 1 and 2 times the work of a long update
    X, y = rng.standard_normal((m, 1000)).astype(dtype), rng.standard_normal((m, 1)).astype(dtype)
    layers = [fn.Dense(1000, "tanh"), fn.Dense(1000, "tanh"), fn.Dense(600, "tanh"), fn.Dense(1, "identity")]

    def after(n_threads):
        net = fn.Network(layers, 1000, dtype=dtype, random_state=0)
        net.fit(X, y, batch_size=m, epochs=2, random_state=0, l2=0.1, n_threads=n_threads)
        return net.params

    assert np.array_equal(after(1), after(2))


def test_products_in_slices_of_columns(rng):
    """A batch whose products take so long that signals are checked meanwhile, forward and for dA, compared with NumPy."""
    X, y = rng.standard_normal((1024, 1100)), rng.standard_normal((1024, 2))
    net = fn.Network(
        [fn.Dense(1100, "tanh"), fn.Dense(1100, "tanh"), fn.Dense(2, "identity")], 1100, dtype="float64", random_state=0
    )
    J, grads = net.loss_and_grad(X, y)
    J_exact, exact = reference_loss_and_grad(net, fn.SquaredError(), X, y)
    assert J == pytest.approx(J_exact, rel=1e-12)
    assert distance(grads.flat, exact) < 1e-12


def test_long_products_of_its_own_have_the_same_bits_for_any_team(rng):
    """Slices of columns depend on how many rows a worker has."""
    layers = [fn.Dense(1100, "tanh"), fn.Dense(1100, "tanh"), fn.Dense(2, "identity")]
    X, y = rng.standard_normal((700, 1100), dtype=np.float32), rng.standard_normal((700, 2), dtype=np.float32)
    results = []
    for n_threads in (1, 2, 3):
        net = fn.Network(layers, 1100, random_state=0)
        if net._plan.uses_blas:
            pytest.skip("BLAS makes long products on this level")
        net.fit(X, y, batch_size=700, epochs=2, random_state=0, n_threads=n_threads)
        results.append(net.params)
    assert all(np.array_equal(params, results[0]) for params in results[1:])


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no SIGALRM on this platform")
def test_a_signal_ends_every_phase_of_a_large_network():
    """Handlers raise at different moments in batches of half a second; the network stays finite and usable."""
    code = """
        import signal
        import numpy as np, fastnet as fn
        class Alarm(Exception): pass
        def handler(*_): raise Alarm
        signal.signal(signal.SIGALRM, handler)
        X, y = np.ones((2048, 1100), np.float32), np.ones((2048, 2), np.float32)
        many = np.tile(X, (50, 1))
        net = fn.Network([fn.Dense(1100, "tanh"), fn.Dense(1100, "tanh"), fn.Dense(2, "identity")], 1100, random_state=0)
        net.fit(X[:8], y[:8], epochs=1)     # imports: Python's compiler loses what a handler raises while it compiles a module
        calls = [
            lambda: net.fit(X, y, batch_size=2048, epochs=1000),
            lambda: net.fit(X, y, batch_size=2048, epochs=1000, n_threads=1),
            lambda: net.fit(X, y, batch_size=2048, epochs=1000, max_grad_norm=1.0),
            lambda: net.forward(many),
        ]
        for call in calls:
            for number in range(4):
                signal.setitimer(signal.ITIMER_REAL, 0.08 + 0.06 * number)
                try:
                    while True:
                        call()
                except Alarm:
                    print("raised")
                assert np.isfinite(net.params).all()
                assert np.isfinite(net.forward(X[:3])).all()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["raised"] * 16


@pytest.mark.parametrize("numbers", ["int32", "int64"])
@pytest.mark.parametrize("sampling", ["shuffle", "sequential"])
def test_class_numbers_changed_while_training_stay_in_range(numbers, sampling, rng):
    """Class numbers are read in place: an invalid one counts as the nearest class, and is no index outside the arrays."""
    X, classes = rng.standard_normal((40, 3)), rng.integers(3, size=40).astype(numbers)

    def trained(low, high):
        y = classes.copy()

        class Change(fn.Callback):
            def on_epoch_end(self, session):
                y[:] = np.where(y > 0, high, low)

        net = fn.Network([fn.Dense(3, "softmax")], 3, dtype="float64", random_state=0)
        net.fit(X, y, optimizer="sgd", batch_size=8, epochs=2, sampling=sampling, callbacks=[Change()], random_state=0)
        return net.params

    assert np.array_equal(trained(-(10**8), 10**8), trained(0, 2))
    assert not np.array_equal(trained(0, 2), trained(0, 1))


def test_the_core_refuses_a_row_that_does_not_exist(rng):
    """`sampling` is checked earlier. The core checks again, because it would read outside the data."""
    X, y = rng.standard_normal((40, 3), dtype=np.float32), rng.integers(3, size=40)
    net = fn.Network([fn.Dense(3, "softmax")], 3, random_state=0)
    before = net.params.copy()
    session = Session(net, X, y, loss="cross_entropy", optimizer="sgd", batch_size=2)
    with pytest.raises(IndexError, match="order holds 40, which is no row number: there are 40 rows"):
        session._trainer.run(np.array([3, 40, 0], np.uint32), np.array([0.1]))
    assert np.array_equal(net.params, before)


def test_shared_vectors_are_checked():
    meeting, rows = np.zeros(64, np.uint8), np.arange(48.0).reshape(3, 16)
    shares = [core.SharedVectors(meeting, rows, rank).share for rank in (0, 1)]
    assert shares == [slice(0, 8), slice(8, 16)]
    for of_meeting, of_rows, rank, error, message in [
        (meeting[:8], rows, 0, ValueError, "got 8 and rank 0"),
        (meeting, rows, 2, ValueError, "ranks below 2"),
        (meeting, rows.astype(np.int64), 0, TypeError, "float32 or float64, got int64"),
        (meeting, rows.T, 0, ValueError, "C-contiguous"),
    ]:
        with pytest.raises(error, match=message):
            core.SharedVectors(of_meeting, of_rows, rank)


def test_training_refuses_vectors_that_are_too_short(rng):
    X, y = rng.standard_normal((40, 3), dtype=np.float32), rng.integers(3, size=40)
    net = fn.Network([fn.Dense(3, "softmax")], 3, random_state=0)
    session = Session(net, X, y, loss="cross_entropy", optimizer="sgd", batch_size=2)
    shared = core.SharedVectors(np.zeros(64, np.uint8), np.zeros((3, 15), np.float32), 0)
    with pytest.raises(ValueError, match="type of the parameters and 16 numbers"):
        session._new_trainer(X=X, y=y, sample_weight=None, exchange=(tuple, np.zeros(16, np.float32), shared))
