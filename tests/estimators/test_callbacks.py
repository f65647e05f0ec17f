"""fastnet's own callbacks, and a limit of time, in the estimators."""

from __future__ import annotations

import itertools
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import fastnet as fn
from fastnet.estimators import MLPClassifier, MLPRegressor

Data = tuple[np.ndarray, np.ndarray]


class Recorder(fn.Callback):
    """Records when it is called and what it sees, and stops after `last` epochs."""

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        self.events: list[str] = []

    def on_train_begin(self, session: Any) -> None:
        self.events.append(f"begin {session.epoch}")

    def on_epoch_end(self, session: Any) -> bool:
        self.events.append(f"epoch {session.epoch}")
        self.history, self.params = session.history, session.network.params.copy()
        return session.epoch == self.last

    def on_train_end(self, session: Any) -> None:
        self.events.append(f"end {session.epoch}")


def _clf(*callbacks: fn.Callback, **options: Any) -> MLPClassifier:
    return MLPClassifier((5,), random_state=0, callbacks=list(callbacks), **{"max_iter": 4, "tol": 0, **options})


def _flat(estimator: Any) -> np.ndarray:
    return np.concatenate([parameters.ravel() for parameters in (*estimator.coefs_, *estimator.intercepts_)])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
def test_calls_and_what_they_see(iris: Data, dtype: str, convert: Any) -> None:
    X, y = convert(iris[0]), iris[1]
    recorder = Recorder()
    clf, plain = _clf(recorder, dtype=dtype, alpha=0.0), _clf(dtype=dtype, alpha=0.0)
    clf.fit(X, y)
    assert recorder.events == ["begin 0", *(f"epoch {n}" for n in (1, 2, 3, 4)), "end 4"]
    np.testing.assert_array_equal(recorder.params, _flat(clf))
    assert recorder.params.dtype == dtype
    np.testing.assert_allclose(recorder.history.loss, clf.loss_curve_, rtol=1e-12)
    assert recorder.history.val_loss == recorder.history.val_score == []
    np.testing.assert_array_equal(_flat(plain.fit(X, y)), _flat(clf))


def test_a_stop_is_no_lack_of_convergence(iris: Data) -> None:
    class Request(fn.Callback):
        def on_epoch_end(self, session: Any) -> None:
            session.stop_requested = session.epoch == 2

    for callback in (Recorder(last=2), Request(), Recorder(last=4)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            clf = _clf(callback).fit(*iris)
        assert clf.n_iter_ == len(clf.loss_curve_) == getattr(callback, "last", 2)
    with pytest.warns(ConvergenceWarning):
        _clf(Recorder()).fit(*iris)


@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("scoring", [None, "neg_mean_absolute_error", "loss"])
def test_validation_is_in_the_history(regression: Data, scoring: Any, n_targets: int) -> None:
    X, y = regression[0], np.repeat(regression[1][:, None], n_targets, axis=1).squeeze()
    recorder = Recorder()
    reg = MLPRegressor(
        hidden_layer_sizes=(5,), early_stopping=True, scoring=scoring, callbacks=[recorder], max_iter=5, alpha=0, random_state=0
    )
    with pytest.warns(ConvergenceWarning):
        reg.fit(X, y)
    history = recorder.history
    scale = np.array(reg.loss_curve_) / history.loss  # scikit-learn's loss is the mean over the targets
    np.testing.assert_allclose(scale, 1 / n_targets, rtol=1e-12)
    np.testing.assert_allclose(np.array(history.val_loss) * scale, reg.validation_loss_curve_, rtol=1e-12)
    assert history.val_score == ([] if scoring == "loss" else reg.validation_scores_)
    assert history.best_epoch + 1 == reg.best_epoch_


def test_early_stopping_of_fastnet(iris: Data) -> None:
    X, y = iris
    by_loss = fn.EarlyStopping("loss", patience=3)
    options = {"solver": "sgd", "learning_rate_init": 5.0, "max_iter": 50, "alpha": 0.0}
    clf = _clf(by_loss, **options).fit(X, y)
    assert clf.n_iter_ == by_loss.best_epoch + 1 + 3 < 50
    kept = _clf(**{**options, "max_iter": by_loss.best_epoch + 1, "restore_best": True})
    with pytest.warns(ConvergenceWarning):
        kept.fit(X, y)
    np.testing.assert_array_equal(_flat(clf), _flat(kept))

    by_validation = fn.EarlyStopping(patience=2)
    clf = _clf(by_validation, early_stopping=True, **options).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert clf.validation_loss_curve_[by_validation.best_epoch] == min(clf.validation_loss_curve_)


def test_early_stopping_without_validation_rows(iris: Data) -> None:
    clf = _clf(fn.EarlyStopping())
    with pytest.raises(ValueError, match="there is none: .*an estimator early_stopping=True"):
        clf.fit(*iris)
    assert not hasattr(clf, "coefs_")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_checkpoints_hold_the_network(iris: Data, tmp_path: Path) -> None:
    X, y = iris
    clf = _clf(fn.Checkpoint(tmp_path)).fit(X, y)
    network = fn.load(fn.checkpoint.latest(tmp_path))
    np.testing.assert_array_equal(network.forward(X), clf.predict_proba(X))


@pytest.mark.parametrize("method", ["on_train_begin", "on_epoch_end", "on_train_end"])
def test_an_error_leaves_the_model(iris: Data, method: str) -> None:
    class Pruned(Exception):
        pass

    def prune(session: Any) -> None:
        if session.epoch == 2 or method == "on_train_begin":
            raise Pruned

    pruning = fn.Callback()
    setattr(pruning, method, prune)
    clf = MLPClassifier((5,), max_iter=2, random_state=0)
    with pytest.warns(ConvergenceWarning):
        clf.fit(*iris)
    before = dict(vars(clf))
    clf.set_params(callbacks=[pruning], random_state=1)
    with pytest.raises(Pruned):
        clf.fit(*iris)
    assert all(vars(clf)[name] is value for name, value in before.items() if name.endswith("_"))


def test_partial_fit_calls_none(iris: Data) -> None:
    recorder = Recorder(last=1)
    clf = _clf(recorder, max_time=1e-9, partial_fit_epochs=3).partial_fit(*iris, classes=[0, 1, 2])
    assert recorder.events == []
    assert len(clf.loss_curve_) == 3


def test_lbfgs_warns_that_it_calls_none(iris: Data) -> None:
    recorder = Recorder()
    with pytest.warns(UserWarning, match=r"callbacks=\[.*\] has no effect with solver='lbfgs'"):
        _clf(recorder, solver="lbfgs", max_iter=100, tol=1e-2).fit(*iris)
    assert recorder.events == []


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_copies_have_callbacks_of_their_own(iris: Data, tmp_path: Path) -> None:
    recorder = Recorder()
    clf = _clf(recorder)
    assert clone(clf).callbacks[0] is not recorder
    search = GridSearchCV(clf, {"alpha": [0.0, 1.0]}, cv=2).fit(*iris)
    assert recorder.events == []
    assert search.best_estimator_.callbacks[0].events[-1] == "end 4"
    clf.fit(*iris)
    assert pickle.loads(pickle.dumps(clf)).callbacks[0].events == recorder.events
    clf.save(tmp_path / "model.safetensors")
    loaded = fn.load(tmp_path / "model.safetensors")
    assert loaded.callbacks is None
    assert clf.callbacks == [recorder]
    np.testing.assert_array_equal(loaded.predict_proba(iris[0]), clf.predict_proba(iris[0]))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_beside_callbacks_of_scikit_learn(iris: Data) -> None:
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    clf = _clf(Recorder(last=3)).set_callbacks(monitor).fit(*iris)
    assert clf.n_iter_ == 3
    assert [row["task_id"] for row in monitor.get_logs().data if row["task_name"] == "epoch"] == [0, 1, 2]
    with pytest.raises(TypeError, match="callbacks are those of fastnet, got .*ScoringMonitor.* give it to set_callbacks"):
        _clf(monitor).fit(*iris)


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (fn.EarlyStopping(), r"callbacks must be a list, got .*EarlyStopping.* alone: give callbacks=\[...\]"),
        ([fn.EarlyStopping], r"got the class EarlyStopping: give EarlyStopping\(...\), with parentheses"),
        ([print], "callbacks must be objects of classes derived from fastnet.Callback, got <built-in function print>"),
        (3, "callbacks must be a list of callbacks, got 3"),
    ],
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_what_is_no_list_of_callbacks(iris: Data, callbacks: Any, message: str, solver: str) -> None:
    with pytest.raises(TypeError, match=message):
        MLPClassifier(solver=solver, callbacks=callbacks).fit(*iris)
    with pytest.raises(TypeError, match=message):
        fn.Network([fn.Dense(3, "softmax")], 4).fit(*iris, callbacks=callbacks)


@pytest.fixture
def a_second_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training's clock advances by a second each time it is read, which is once per epoch or iteration."""
    seconds = itertools.count()
    monkeypatch.setattr("fastnet._clock.monotonic", lambda: float(next(seconds)))


@pytest.mark.usefixtures("a_second_a_step")
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("make", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(("max_time", "n_iter"), [(0.1, 1), (3, 3), (3.5, 3), (4.0, 4)])
def test_time_ends_a_fit(iris: Data, make: Any, solver: str, max_time: float, n_iter: int) -> None:
    """No epoch begins that would end too late, and running out of time gives no ConvergenceWarning."""
    timed = make(hidden_layer_sizes=(5,), solver=solver, max_time=max_time, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        timed.fit(*iris)
    assert timed.n_iter_ == n_iter
    counted = make(hidden_layer_sizes=(5,), solver=solver, max_iter=n_iter, random_state=0)
    with pytest.warns(ConvergenceWarning):
        counted.fit(*iris)
    np.testing.assert_array_equal(_flat(timed), _flat(counted))


@pytest.mark.usefixtures("a_second_a_step")
def test_the_best_weights_are_kept_when_the_time_is_over(iris: Data) -> None:
    X, y = iris
    clf = _clf(early_stopping=True, scoring="loss", solver="sgd", learning_rate_init=1.0, max_iter=99, max_time=7)
    clf.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert clf.n_iter_ == 7
    p = clf.predict_proba(X[1::2])
    assert clf.best_epoch_ == 6
    assert -np.log(p[range(75), y[1::2]]).mean() == pytest.approx(min(clf.validation_loss_curve_))


@pytest.mark.parametrize("max_time", [0, -1.0, np.inf, "1"])
def test_times_that_are_none(iris: Data, max_time: Any) -> None:
    with pytest.raises(ValueError, match="The 'max_time' parameter of MLPClassifier must be"):
        MLPClassifier(max_time=max_time).fit(*iris)


def test_the_progress_bar_shows_the_validation_score(iris: Data, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    for scoring, shown in ((None, True), ("loss", False)):
        with pytest.warns(ConvergenceWarning):
            _clf(verbose="progress", early_stopping=True, scoring=scoring).fit(*iris)
        bar = capsys.readouterr().err
        assert "val_loss=" in bar
        assert ("val_score=" in bar) == shown
