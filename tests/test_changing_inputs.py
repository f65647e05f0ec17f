"""Arrays that Python code changes or releases while the core works: they are held, copied, clamped or harmless."""

from __future__ import annotations

import mmap
import textwrap
import weakref

import numpy as np
import pytest
from helpers import run_python
from scipy import sparse

import fastnet as fn
from fastnet import _data, optimizers
from fastnet._core import core
from fastnet._sampling import Sampler
from fastnet.layers import Graph, Inputs

SQUARED_ERROR = (core.LOSS_CODES["squared_error"], 0.0, None)


class TestOptimiserState:
    def test_a_callback_cannot_replace_its_arrays(self):
        class Reset(fn.Callback):
            def on_epoch_end(self, session):
                with pytest.raises(TypeError, match="item assignment"):
                    session.state[:] = [np.zeros_like(memory) for memory in session.state]
                with pytest.raises(AttributeError, match="state"):
                    session.state = ()
                session.state[0][:] = 0  # the changes that are possible

        net = fn.Network([fn.Dense(1, "identity")], 2, random_state=0)
        net.fit(np.ones((4, 2)), np.ones(4), epochs=2, callbacks=[Reset()])

    def test_the_core_holds_the_arrays(self):
        plan = fn.Network([fn.Dense(1, "identity")], 2)._plan
        state = [np.zeros(3), np.zeros(3)]
        watched = weakref.ref(state[0])
        options = (np.zeros(3), SQUARED_ERROR, np.ones((4, 2)), np.ones((4, 1)), None, 2, core.OPTIMIZER_CODES["adam"])
        trainer = core.Trainer(plan, *options, optimizers.get("adam").hyper(), state)
        state.clear()
        assert watched() is not None
        trainer.run(None, np.array([0.1]))
        assert watched()[:2].all()


class TestSparseRows:
    @pytest.fixture
    def X(self):
        return sparse.random(40, 30, 0.3, "csr", np.float32, random_state=0)

    @pytest.mark.parametrize("kind", ["csr", "csc", "bsr"])
    @pytest.mark.parametrize("number", [-1, 30, 2**31 - 1])
    def test_numbers_out_of_range_are_refused(self, X, kind, number):
        X = X[:30].asformat(kind)
        X.indices[3] = number
        net = fn.Network([fn.Dense(1, "identity")], 30)
        with pytest.raises(ValueError, match="X.indices of the sparse matrix holds"):
            net.forward(X)

    @pytest.mark.parametrize("number", [2**32, -(2**32) + 3])
    def test_wide_numbers_do_not_wrap(self, X, number):
        X.indices = X.indices.astype(np.int64)
        X.indices[3] = number
        with pytest.raises(ValueError, match="X.indices of the sparse matrix holds"):
            fn.Network([fn.Dense(1, "identity")], 30).forward(X)

    @pytest.mark.parametrize("kind", ["csr", "csc", "bsr"])
    @pytest.mark.parametrize("place, start", [(3, 10**6), (3, -1), (0, 1), (-1, 10**6)])
    def test_row_starts_out_of_range_are_refused(self, X, kind, place, start):
        X = X[:30].asformat(kind)
        X.indptr[place] = start
        with pytest.raises(ValueError, match="X.indptr of the sparse matrix must have"):
            fn.Network([fn.Dense(1, "identity")], 30).fit(X, np.ones(30), epochs=1)

    def test_row_starts_are_copied(self, X):
        X.indptr = X.indptr.astype(np.int64)
        _, _, indptr, _ = _data.features(X, 30, np.dtype("float32"))
        assert not np.shares_memory(indptr, X.indptr)

    def test_numbers_that_a_callback_changes_stay_in_range(self):
        code = """
            import numpy as np
            import fastnet as fn
            from scipy import sparse

            net = fn.Network([fn.Dense(16, "relu"), fn.Dense(1, "identity")], 1000, random_state=0)

            class Change(fn.Callback):
                def __init__(self, change):
                    self.change = change

                def on_epoch_end(self, session):
                    X.indices[:] = self.change(X.indices)

            for change in (lambda indices: 2**31 - 1, lambda indices: indices - 40, lambda indices: indices[::-1].copy()):
                for n_threads in (1, 2):
                    X = sparse.random(2000, 1000, 0.05, "csr", np.float32, random_state=0)
                    net.fit(X, np.zeros(2000), epochs=3, callbacks=[Change(change)], n_threads=n_threads)
            assert np.isfinite(net.params).all()
        """
        done = run_python(textwrap.dedent(code))
        assert done.returncode == 0, done.stderr


def test_the_order_that_a_sampling_function_gives_is_copied():
    order = np.arange(5, dtype=np.uint32)
    sampler = Sampler(lambda session: order, 5, 2, np.zeros(4, np.uint64))
    taken = sampler.next_order(None)
    assert taken.tolist() == order.tolist()
    assert not np.shares_memory(taken, order)


def test_a_workspace_beyond_the_address_space_is_refused():
    """Sizes whose product overflows 64 bits, in virtual memory that is never used."""

    def zeros(n):
        flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0x4000)
        return np.frombuffer(mmap.mmap(-1, 4 * n, flags=flags), np.float32)

    rows, units = 2**30, 2**31 - 8
    plan = Graph.of([fn.Dense(units, "identity"), fn.Dense(1, "identity")], Inputs((1,)))[0].plan()
    try:
        params, X, y = zeros(plan.n_params), zeros(rows).reshape(-1, 1), zeros(rows).reshape(-1, 1)
    except (OSError, AttributeError):
        pytest.skip("this system gives no virtual memory of this size")
    with pytest.raises(MemoryError, match="a smaller batch_size"):
        core.Trainer(plan, params, SQUARED_ERROR, X, y, None, rows, 0, (), [])
