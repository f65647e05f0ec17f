"""Ensembles of networks with layers of every kind, against their plain NumPy twins and their members alone."""

from __future__ import annotations

import copy
import pickle
import signal

import numpy as np
import pytest
from helpers import assert_same_bits_by_any_team, distance, run_python
from layer_networks import HIDDEN, N_IN, POSITIONED, assert_gradient, build, rows, twin_outputs
from scipy import sparse

import fastnet as fn
from fastnet import _trainers

ENSEMBLES = [("packed", "members"), ("packed", "mean"), ("batch", "members"), ("batch", "mean"), ("mini", "members")]


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

    def test_settings_with_which_members_train_as_alone(self, rng):
        """Those that the guide names for optimisers whose steps depend on the gradient's size, and for l2."""
        k = 3
        net = build("dense", n_members=k)
        X, y = rows("dense", 50, rng), rng.random((50, 2))
        alone, options = [member_of(net, "dense", i) for i in range(k)], {"epochs": 3, "sampling": "sequential"}
        for single in alone:
            single.fit(X, y, optimizer=fn.SGD(0.05, momentum=0.9), l2=0.1, **options)
        net.fit(X, y, optimizer=fn.SGD(0.05 * k, momentum=0.9), l2=0.1 / k, **options)
        for i, single in enumerate(alone):
            assert distance(net.forward_members(X)[:, i], single.forward(X)) < 1e-12

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

    @pytest.mark.parametrize("kind", ["packed", "batch", "mini"])
    def test_sparse_rows_are_refused_before_anything_is_trained(self, kind):
        S, y = sparse.random_array((20, 30), density=0.2, rng=0).tocsr(), np.arange(20) % 2
        net = fn.Network([fn.Dense(5, "tanh"), fn.Dense(2, "softmax")], 30, n_members=4, ensemble=kind, random_state=0)
        before = net.params.copy()
        for call in (
            lambda: net.fit(S, y, epochs=1),
            lambda: net.fit(S.toarray(), y, epochs=1, validation_data=(S, y)),
            lambda: net.forward(S),
            lambda: net.forward_members(S),
        ):
            with pytest.raises(ValueError, match=r"X is sparse, .* one member .*toarray"):
                call()
        assert np.array_equal(net.params, before)

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


class TestMembersTrainedApart:
    """Members that have nothing in common are trained group by group, where batches are small."""

    @staticmethod
    def trained(net, X, y, **options):
        options |= {"optimizer": fn.SGD(0.01, momentum=0.9), "l2": 0.1, "batch_size": 16, "epochs": 2, "random_state": 0}
        history = net.fit(X, y, track_grad_norm=True, **options)
        return net.params, [history.loss, history.penalty, history.grad_norm]

    @pytest.mark.parametrize("hidden", HIDDEN)
    def test_parameters_are_those_of_all_members_together(self, hidden, rng, monkeypatch):
        """With the same bits for any number of threads; 18 members are two more than there may be groups."""
        X, y = rows(hidden, 200, rng), rng.random((200, 2))
        net = build(hidden, n_members=18)
        assert _trainers.members_train_apart(net, 16)
        params, sums = self.trained(net, X, y, n_threads=1)
        by_three, same_sums = self.trained(build(hidden, n_members=18), X, y, n_threads=3)
        assert np.array_equal(params, by_three)
        assert sums == same_sums
        monkeypatch.setattr(_trainers, "_MOST_WORK", 0)
        together, other_sums = self.trained(build(hidden, n_members=18), X, y, n_threads=1)
        assert distance(params, together) < 1e-12
        np.testing.assert_allclose(sums, other_sums, rtol=1e-12)

    def test_masks_of_dropout_are_those_of_all_members_together(self, rng, monkeypatch):
        X, y = rng.standard_normal((60, 4)), rng.random((60, 2))
        layers = [fn.Scale(), fn.Dense(5, "tanh", dropout=0.4), fn.Dropout(0.2), fn.Dense(2, "identity")]

        def params():
            return self.trained(fn.Network(layers, 4, n_members=3, dtype="float64", random_state=0), X, y)[0]

        apart = params()
        monkeypatch.setattr(_trainers, "_MOST_WORK", 0)
        assert distance(apart, params()) < 1e-12

    @pytest.mark.parametrize(
        ("options", "batch_size"),
        [({"ensemble": "batch"}, 16), ({"ensemble_loss": "mean"}, 16), ({}, 10**7), ({"n_members": 1}, 16)],
    )
    def test_who_is_not(self, options, batch_size):
        assert not _trainers.members_train_apart(build("dense", **{"n_members": 4, **options}), batch_size)

    def test_a_shared_mask_of_dropout_keeps_members_together(self):
        net = fn.Network([fn.Dropout(0.5), fn.Dense(3, "tanh"), fn.Dense(1)], 4, n_members=2)
        assert not _trainers.members_train_apart(net, 16)

    def test_the_whole_ensemble_is_as_before_if_one_member_diverges(self, rng):
        net = build("dense", "identity", n_members=5)
        net.parameters["2.W"][3] = 1e200
        before = net.params.copy()
        with pytest.raises(fn.DivergenceError, match="epoch 1, batch 1"):
            net.fit(rng.standard_normal((40, 4)), rng.random((40, 2)), optimizer="sgd", batch_size=8)
        assert np.array_equal(net.params, before)

    @pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no SIGALRM on this platform")
    @pytest.mark.parametrize("n_threads", [1, 4])
    def test_a_signal_ends_the_training(self, n_threads):
        class Alarm(Exception):
            pass

        def handler(*_):
            raise Alarm

        net = fn.Network([fn.Dense(32, "relu"), fn.Dense(2, "identity")], 16, n_members=6, dtype="float32", random_state=0)
        X, y = np.ones((400_000, 16), np.float32), np.ones((400_000, 2), np.float32)
        before = signal.signal(signal.SIGALRM, handler)
        try:
            for delay in (0.06, 0.13):
                signal.setitimer(signal.ITIMER_REAL, delay)
                with pytest.raises(Alarm):
                    net.fit(X, y, optimizer=fn.SGD(1e-4), batch_size=32, epochs=1000, n_threads=n_threads)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert np.isfinite(net.forward(X[:3])).all()
        net.fit(X[:64], y[:64], epochs=1)


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

        def compute():
            net = self.build(name, dtype="float32")
            net.fit(X, y, batch_size=128, epochs=1, random_state=0)
            return net.params, net.forward(X), net.forward_members(X)

        assert_same_bits_by_any_team(compute)

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


#: Outputs at each place that a buffer's address may have, times the members, from them. glibc then puts the core's buffers right
#: behind `room`.
PLACES = """
import numpy as np, fastnet as fn
from fastnet._core import core

net = fn.Network([fn.Dense(5, "tanh"), fn.Dense(2, "identity")], 4, n_members=24, dtype="float64", random_state=0)
X = np.ones((2640, 4))
room = np.empty(150_000, np.uint8)
start = -room.ctypes.data % 64
missing = 0
for place in range(start, start + 264 * 48 * 8, 64):
    out = room[place : place + X.shape[0] * 16].view(float).reshape(-1, 2)
    out[...] = np.nan
    core.forward(net._plan, net.params, X, out, 1)
    missing += np.isnan(out).any()
print(missing)
"""


def test_rows_are_written_wherever_outputs_lie():
    """Whether a block was in place already was once decided by its address, times the members, and a buffer's."""
    result = run_python(PLACES, MALLOC_MMAP_THRESHOLD_="1000000000")
    assert result.stdout.split() == ["0"], result.stderr
