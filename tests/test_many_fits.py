"""Many fits at once: the models are those of single fits."""

from __future__ import annotations

import _thread
import threading
import time

import numpy as np
import pytest

import fastnet as fn
from fastnet import _many, runtime
from fastnet._core import core
from fastnet._session import Session


def arrays(m=120):
    X = np.random.default_rng(0).standard_normal((m, 4))
    return X, (X[:, 0] > X[:, 1]).astype(int)


def networks(n=6):
    return [fn.Network([fn.Dense(5, "tanh"), fn.Dense(2, "softmax")], 4, random_state=seed) for seed in range(n)]


def test_networks_are_those_of_single_fits():
    X, y = arrays()
    each = [{"random_state": seed, "learning_rate": 0.01 * (seed + 1)} for seed in range(6)]
    models = networks()
    many = fn.fit_many(models, X, y, each=each, epochs=3, batch_size=8)
    for model, same, net, options in zip(many, models, networks(), each, strict=True):
        assert model is same
        net.fit(X, y, epochs=3, batch_size=8, n_threads=1, **options)
        np.testing.assert_array_equal(model.params, net.params)


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": "cosine", "optimizer": "sgd", "epochs": 4},
        {"sampling": "sequential", "max_grad_norm": 0.1, "batch_size": 50},
        {"sample_weight": np.arange(120.0), "l2": 0.1, "optimizer": fn.AdamW()},
        {
            "augment": fn.augment.Jitter(0.1),
            "learning_rate_factors": {"W": 0.5},
            "decay_factors": {"b": 1.0},
            "weight_decay": 0.01,
        },
        {"sampling": "random"},
        {"optimizer": "lbfgs"},
        {"learning_rate_init": 0.1, "max_iter": 2},
    ],
    ids=lambda options: "-".join(options),
)
def test_whatever_the_options_networks_are_those_of_single_fits(options):
    X, y = arrays()

    def different():
        hidden = [[fn.Dense(5, "relu", dropout=0.2)], [fn.Dense(4, "tanh"), fn.BatchNorm()], []]
        kinds = [{"dtype": "float64"}, {}, {"n_members": 2}]
        pairs = list(zip(hidden, kinds, strict=True))[2 if options.get("optimizer") == "lbfgs" else 0 :]
        return [fn.Network([*some, fn.Dense(2, "softmax")], 4, random_state=3, **kind) for some, kind in pairs for _ in range(2)]

    seeds = range(len(different()))
    many = fn.fit_many(different(), X, y, each=[{"random_state": seed} for seed in seeds], n_threads=1, **options)
    for model, net, seed in zip(many, different(), seeds, strict=True):
        net.fit(X, y, random_state=seed, n_threads=1, **options)
        np.testing.assert_array_equal(model.params, net.params)
        np.testing.assert_array_equal(model.forward(X), net.forward(X))


def test_small_networks_share_calls_of_the_core_and_data(monkeypatch):
    X, y = arrays()
    sizes, checked, train_many, dataset = [], [], core.train_many, _many.dataset
    monkeypatch.setattr(core, "train_many", lambda runs: sizes.append(len(runs)) or train_many(runs))
    monkeypatch.setattr(_many, "dataset", lambda *data: checked.append(data) or dataset(*data))
    fn.fit_many(networks(100), X, y, epochs=2, n_threads=2)
    assert sum(sizes) == 100 and len(sizes) in (4, 8) and len(checked) == 1
    sizes.clear()
    monkeypatch.setattr(_many, "_WORK_OF_A_CALL", 1)
    fn.fit_many(networks(3), X, y, epochs=1)
    assert sizes == [1, 1, 1]


def test_fits_that_differ_in_what_is_their_own_share_a_trainer(monkeypatch):
    X, y = arrays()
    calls, train_many = [], core.train_many
    monkeypatch.setattr(core, "train_many", lambda runs: calls.append(runs) or train_many(runs))
    sgd, momentum = fn.SGD(0.1), fn.SGD(0.1, momentum=0.9)
    each = [
        *({"random_state": 1, "learning_rate": rate, "optimizer": sgd} for rate in (0.1, "cosine", lambda j: 0.1 / (1 + j))),
        *({"random_state": seed, "optimizer": momentum} for seed in (0, np.random.default_rng(5))),
        {"random_state": 0, "optimizer": momentum, "l2": 0.1},
    ]
    monkeypatch.setattr(_many, "_CALLS_OF_A_WORKER", 1)
    many = fn.fit_many(networks(), X, y, each=each, epochs=3, batch_size=8, n_threads=1)
    numbers = [id(run.trainer) for run in calls[0]]
    assert len(calls) == 1 and [numbers.count(number) for number in numbers] == [3, 3, 3, 2, 2, 1]
    each[4]["random_state"] = np.random.default_rng(5)
    for model, net, options in zip(many, networks(), each, strict=True):
        net.fit(X, y, epochs=3, batch_size=8, n_threads=1, **options)
        np.testing.assert_array_equal(model.params, net.params)


def test_a_trainer_is_left_with_its_own_network():
    X, y = arrays()
    own, other = networks(2)
    of_loss = fn.losses.CrossEntropy()
    data = _many.dataset(own, X, y, None, of_loss)[:2]
    session = Session(own, *data, loss=of_loss, optimizer="sgd", batch_size=40, learning_rate=0.1, random_state=0, n_threads=1)
    (run,) = session.whole_runs(2)
    core.train_many((run._replace(params=other.params),))
    before, trained = own.params.copy(), other.params.copy()
    np.testing.assert_array_equal(before, networks(1)[0].params)
    session.run_epoch()
    assert (own.params != before).any()
    np.testing.assert_array_equal(other.params, trained)


def test_runs_that_do_not_fit_their_trainer_are_refused():
    X, y = arrays()
    net = networks(1)[0]
    of_loss = fn.losses.CrossEntropy()
    data = _many.dataset(net, X, y, None, of_loss)[:2]
    options = {"loss": of_loss, "optimizer": "sgd", "batch_size": 40, "random_state": 0, "n_threads": 1}
    (run,) = Session(net, *data, **options).whole_runs(2)
    wrong = {
        "params": np.zeros(net.n_params + 1, net.dtype),
        "before": np.zeros(net.n_params - 1, net.dtype),
        "order": np.zeros(len(X) - 1, np.uint32),
        "random": np.zeros(3, np.uint64),
        "losses": np.zeros((2, 1)),
    }
    for name, value in wrong.items():
        before = net.params.copy()
        field = {"random": "rng"}.get(name, name)
        with pytest.raises(ValueError, match=f"{name} must have"):
            core.train_many((run._replace(**{field: value}),))
        np.testing.assert_array_equal(net.params, before)


@pytest.mark.parametrize("source", ["PCG64", "MT19937", "Philox", "SFC64"])
def test_words_are_what_numpy_draws(source):
    one, same = (np.random.Generator(getattr(np.random, source)(3)) for _ in range(2))
    np.testing.assert_array_equal(core.words(one, 5), same.integers(0, 2**64, 5, dtype=np.uint64))
    assert int(core.words(one, 1)[0]) >> 1 == same.integers(2**63)
    assert one.random() == same.random()


def test_a_fit_of_a_class_of_ones_own_is_called():
    X, y = arrays()

    class Counted(fn.Network):
        fits = 0

        def fit(self, *args, **options):
            self.fits += 1
            return super().fit(*args, **options)

    models = fn.fit_many([Counted([fn.Dense(2, "softmax")], 4, random_state=seed) for seed in range(2)], X, y, epochs=1)
    assert [model.fits for model in models] == [1, 1]


@pytest.mark.parametrize("loss", [fn.losses.Quantile([0.1, 0.9]), "huber"], ids=["quantile", "huber"])
def test_losses_with_parameters(loss):
    X, _ = arrays()
    models, net = ([fn.Network([fn.Dense(2, "identity")], 4, random_state=0) for _ in range(n)] for n in (2, 1))
    y = X[:, 0] if loss != "huber" else X[:, :2]
    fn.fit_many(models, X, y, loss=loss, epochs=2, random_state=0)
    net[0].fit(X, y, loss=loss, epochs=2, random_state=0, n_threads=1)
    np.testing.assert_array_equal(models[1].params, net[0].params)


def test_a_network_that_diverges_ends_as_alone(monkeypatch):
    X, y = arrays()
    monkeypatch.setattr(runtime, "thread_limit", lambda n_threads: 1)
    each = [{}, {"optimizer": fn.SGD(1e30), "loss": "squared_error"}, {}]
    layers = [fn.Dense(5), fn.Dense(1, "identity")]
    models, net = ([fn.Network(layers, 4, random_state=0) for _ in range(n)] for n in (6, 1))
    before = models[2].params.copy()
    with pytest.raises(fn.DivergenceError) as alone:
        net[0].fit(X, y, random_state=0, n_threads=1, **each[1])
    with pytest.raises(fn.DivergenceError) as together:
        fn.fit_many(models, X, y, each=each + [{}] * 3, random_state=0)
    assert str(together.value) == str(alone.value) and (together.value.epoch, together.value.batch) == (1, alone.value.batch)
    np.testing.assert_array_equal(models[1].params, net[0].params)
    np.testing.assert_array_equal(models[2].params, before)
    assert (models[0].params != before).any()


def test_a_loss_that_grows_is_told_of():
    X, y = arrays()
    models = [fn.Network([fn.Dense(1, "identity")], 4, random_state=seed) for seed in range(3)]
    each = [{}, {"learning_rate": 3.0}, {}]
    with pytest.warns(fn.DivergenceWarning, match="the loss grew") as caught:
        fn.fit_many(models, X, y, each=each, optimizer="sgd", batch_size=120, epochs=15, random_state=0, n_threads=1)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_network_that_is_being_trained_is_refused():
    X, y = arrays()

    class Again(fn.Callback):
        def on_epoch_end(self, session):
            fn.fit_many([*networks(1), session.network], X, y, epochs=1, n_threads=2)

    with pytest.raises(RuntimeError, match="being trained already"):
        networks(1)[0].fit(X, y, epochs=1, callbacks=[Again()])


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimators_are_those_of_single_fits():
    pytest.importorskip("sklearn")
    X, y = arrays()
    options = [{"alpha": 10.0**-k, "learning_rate_init": 0.01 * (k + 1), "random_state": k} for k in range(4)]
    many = fn.fit_many([fn.MLPClassifier((5,), max_iter=4, n_threads=2, **of_one) for of_one in options], X, y)
    for model, of_one in zip(many, options, strict=True):
        single = fn.MLPClassifier((5,), max_iter=4, n_threads=1, **of_one).fit(X, y)
        np.testing.assert_array_equal(model.coefs_[0], single.coefs_[0])
        assert model.n_threads == 2


def test_as_many_at_a_time_as_threads_are_given(monkeypatch):
    monkeypatch.setattr(runtime, "thread_limit", lambda n_threads: n_threads)
    X, y = arrays()
    together, lock = threading.Barrier(2, timeout=20), threading.Lock()
    running, seen = 0, []

    def count(change):
        nonlocal running
        with lock:
            running += change
            seen.append(running)

    class Meeting(fn.Callback):
        def on_train_begin(self, session):
            count(1)
            together.wait()

        def on_epoch_end(self, session):
            time.sleep(0.05)  # in which a fit that is one too many would begin

        def on_train_end(self, session):
            count(-1)

    fn.fit_many(networks(4), X, y, epochs=1, n_threads=2, callbacks=[Meeting()])
    assert max(seen) == 2 and running == 0


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_network_that_diverges_beside_others_of_its_kind(n_threads):
    X, y = arrays()
    each = [{"learning_rate": rate} for rate in (0.1, 1e30, 0.1)]
    options = {"optimizer": "sgd", "loss": "squared_error", "random_state": 0}
    layers = [fn.Dense(5), fn.Dense(1, "identity")]
    models, net = ([fn.Network(layers, 4, random_state=0) for _ in range(n)] for n in (3, 1))
    with pytest.raises(fn.DivergenceError) as alone:
        net[0].fit(X, y, n_threads=1, **options, **each[1])
    with pytest.raises(fn.DivergenceError) as together:
        fn.fit_many(models, X, y, each=each, n_threads=n_threads, **options)
    assert str(together.value) == str(alone.value)
    np.testing.assert_array_equal(models[1].params, net[0].params)


@pytest.mark.filterwarnings("ignore:Training interrupted")
@pytest.mark.parametrize("kind", ["network", "whole", "estimator", "folds"])
def test_ctrl_c_ends_fits_that_have_begun(kind, monkeypatch):
    monkeypatch.setattr(runtime, "thread_limit", lambda n_threads: n_threads or 2)
    X, y = arrays()
    models, options = networks(4), {"epochs": 10**6, "random_state": 0, "n_threads": 2}
    if kind == "network":
        options["callbacks"] = [fn.Callback()]
    elif kind in ("estimator", "folds"):
        pytest.importorskip("sklearn")
        new = {
            "estimator": lambda: fn.MLPClassifier((5,), max_iter=10**6, n_iter_no_change=10**6),
            "folds": lambda: fn.TabularClassifier(n_epochs=10**6, n_folds=2),
        }
        models, options = [new[kind]() for _ in range(4)], {"n_threads": 2}
    timer = threading.Timer(0.5, _thread.interrupt_main)
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fn.fit_many(models, X, y, **options)
        timer.cancel()
    assert time.monotonic() - started < 10
    if kind in ("network", "whole"):
        models[0].fit(X, y, epochs=1)


def test_ctrl_c_ends_lbfgs_of_another_thread():
    X, y = arrays()
    event = threading.Event()
    event.set()
    token = core.interrupt.set(event)
    try:
        with pytest.raises(KeyboardInterrupt):
            networks(1)[0].fit(X, y, optimizer="lbfgs", epochs=5)
    finally:
        core.interrupt.reset(token)


def test_the_first_error_is_raised():
    X, y = arrays()
    models = networks(3)
    before = models[2].params.copy()
    each = [{}, {"optimizer": "sgd", "learning_rate": -1.0}, {}]
    with pytest.raises(ValueError, match="learning_rate|rate"):
        fn.fit_many(models, X, y, each=each, epochs=1, n_threads=1)
    np.testing.assert_array_equal(models[2].params, before)


def test_what_cannot_be_shared():
    X, y = arrays()
    net = networks(1)[0]
    with pytest.raises(ValueError, match="the same model"):
        fn.fit_many([net, net], X, y)
    with pytest.raises(ValueError, match="the same generator"):
        fn.fit_many(networks(2), X, y, random_state=np.random.default_rng(0))
    with pytest.raises(ValueError, match="each must hold the options of 2 models, got 1"):
        fn.fit_many(networks(2), X, y, each=[{}])


@pytest.mark.parametrize("callbacks", [list, iter], ids=["list", "iterator"])
def test_each_fit_has_its_own_early_stopping(callbacks):
    X, y = arrays()
    options = {"epochs": 30, "random_state": 0, "learning_rate": 0.1, "validation_data": (X[:40], y[:40])}
    given = fn.EarlyStopping(patience=2)
    many = fn.fit_many(networks(), X, y, callbacks=callbacks([given]), n_threads=2, **options)
    for model, net in zip(many, networks(), strict=True):
        net.fit(X, y, callbacks=[fn.EarlyStopping(patience=2)], n_threads=1, **options)
        np.testing.assert_array_equal(model.params, net.params)
    assert given.best_epoch == -1


class Losses(fn.Callback):
    def __init__(self):
        self.seen = []

    def on_epoch_end(self, session):
        self.seen.append(session.result.loss)


@pytest.mark.parametrize("kind", ["Checkpoint", "Recorder", "Losses"])
def test_callbacks_that_remember_are_not_shared(kind, tmp_path):
    X, y = arrays()
    new = {
        "Checkpoint": lambda k: fn.Checkpoint(tmp_path / str(k)),
        "Recorder": lambda k: fn.inspection.Recorder(X, y),
        "Losses": lambda k: Losses(),
    }[kind]
    models = networks(2)
    with pytest.raises(ValueError, match=rf"cannot share the callback {kind}.*each=\[{{'callbacks': \[{kind}"):
        fn.fit_many(models, X, y, epochs=1, callbacks=[new(0)])
    np.testing.assert_array_equal(models[0].params, networks(1)[0].params)
    each = [{"callbacks": [new(k)]} for k in range(2)]
    fn.fit_many(models, X, y, epochs=1, each=each)
    if kind == "Losses":
        assert [len(options["callbacks"][0].seen) for options in each] == [1, 1]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimators_do_not_share_callbacks():
    pytest.importorskip("sklearn")
    X, y = arrays()
    callback = fn.EarlyStopping("loss")
    with pytest.raises(ValueError, match="cannot share the callback EarlyStopping"):
        fn.fit_many([fn.MLPClassifier((3,), callbacks=[callback]) for _ in range(2)], X, y)
    fn.fit_many([fn.MLPClassifier((3,), max_iter=2, callbacks=[fn.EarlyStopping("loss")]) for _ in range(2)], X, y)


def test_what_is_given_is_checked():
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    X, y = arrays()
    for model in (make_pipeline(fn.MLPClassifier()), LogisticRegression(), "network"):
        with pytest.raises(TypeError, match=f"networks or estimators of fastnet, got {type(model).__name__}"):
            fn.fit_many([model], X, y)
    with pytest.raises(TypeError, match="each must hold a dict of options for each model.*got 3"):
        fn.fit_many(networks(1), X, y, each=[3])
    with pytest.raises(ValueError, match="each must not hold n_threads"):
        fn.fit_many(networks(1), X, y, each=[{"n_threads": 2}])
