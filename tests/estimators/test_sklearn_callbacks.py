"""scikit-learn's callbacks (1.9): one task per epoch, evaluated only if asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

from fastnet.estimators import MLPClassifier, MLPRegressor

callback = pytest.importorskip("sklearn.callback")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)


class Recorder:
    """Records what it is told, and stops after `last` epochs."""

    def __init__(self, last: float = np.inf) -> None:
        self.events: list[tuple[str, str, int]] = []
        self.losses: list[float] = []
        self.last = last

    def setup(self, estimator: Any, context: Any) -> None:
        self.events.append(("setup", context.task_name, context.max_subtasks))

    def teardown(self, estimator: Any, context: Any) -> None:
        self.events.append(("teardown", context.task_name, context.task_id))

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.events.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator: Any, context: Any, *, X: Any, y: Any, metadata: Any, fitted_estimator: Any) -> bool:
        self.events.append(("end", context.task_name, context.task_id))
        if fitted_estimator is not None:
            proba = fitted_estimator.predict_proba(X)
            self.losses.append(-np.log(proba[np.arange(len(y)), y]).mean())
        self.metadata = metadata
        return context.task_name == "epoch" and context.task_id + 1 >= self.last


def test_every_epoch_is_a_task() -> None:
    recorder = Recorder()
    clf = MLPClassifier((5,), max_iter=3, random_state=0).set_callbacks(recorder).fit(X, y, sample_weight=np.ones(len(y)))
    epochs = [(event, "epoch", number) for number in range(3) for event in ("begin", "end")]
    assert recorder.events == [("setup", "fit", 3), ("begin", "fit", 0), *epochs, ("end", "fit", 0), ("teardown", "fit", 0)]
    assert np.diff(recorder.losses[:3]).max() < 0
    assert recorder.losses[2] == recorder.losses[3]
    assert set(recorder.metadata) == {"sample_weight"}
    assert not [name for name in vars(clf) if name.startswith(("_callback", "_skl_callbacks_"))]


def test_a_callback_stops_training() -> None:
    recorder = Recorder(last=2)
    clf = MLPClassifier((5,), max_iter=50, random_state=0).set_callbacks(recorder).fit(X, y)
    assert clf.n_iter_ == 2
    assert recorder.events[-2:] == [("end", "fit", 0), ("teardown", "fit", 0)]


@pytest.mark.parametrize("last", [np.inf, 4])
def test_every_iteration_of_lbfgs_is_a_task(last: float) -> None:
    recorder = Recorder(last=last)
    clf = MLPClassifier((5,), solver="lbfgs", max_iter=6, random_state=0).set_callbacks(recorder).fit(X, y)
    assert clf.n_iter_ == min(last, 6)
    begun, ended = ([e[1:] for e in recorder.events if e[0] == kind] for kind in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    assert recorder.losses[min(int(min(last, 6)), 6) - 1] < recorder.losses[0]


def test_hooks_are_torn_down_after_an_error() -> None:
    recorder = Recorder()
    reg = MLPRegressor(hidden_layer_sizes=(5,), solver="sgd", learning_rate_init=1e9).set_callbacks(recorder)
    recorder.on_fit_task_end = lambda estimator, context: False  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="diverged"):
        reg.fit(X, y)
    assert recorder.events[-1][0] == "teardown"
    assert not hasattr(reg, "coefs_")
    assert not [name for name in vars(reg) if name.startswith(("_callback", "_skl_callbacks_"))]


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_callback_that_raises_is_told_of_an_epoch_once(solver: str) -> None:
    class Raises(Recorder):
        def on_fit_task_end(self, estimator: Any, context: Any) -> bool:  # type: ignore[override]
            self.events.append(("end", context.task_name, context.task_id))
            if context.task_name == "epoch" and context.task_id == 1:
                raise RuntimeError("no more")
            return False

    recorder = Raises()
    clf = MLPClassifier((5,), solver=solver, max_iter=5, random_state=0).set_callbacks(recorder)
    with pytest.raises(RuntimeError, match="no more"):
        clf.fit(X, y)
    ended = [event[1:] for event in recorder.events if event[0] == "end"]
    assert ended == [("epoch", 0), ("epoch", 1), ("fit", 0)]
    assert recorder.events[-1][0] == "teardown"
    assert not hasattr(clf, "coefs_")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_without_callbacks_there_are_no_tasks(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise AssertionError("a context of callbacks was made")

    monkeypatch.setattr(MLPClassifier, "_init_callback_context", fail)
    clf = MLPClassifier((5,), solver=solver, max_iter=2, random_state=0)
    clf.fit(X, y)
    with pytest.raises(AssertionError, match="a context of callbacks was made"):
        clf.set_callbacks(Recorder()).fit(X, y)


def test_scoring_monitor_with_early_stopping_and_feature_names(recwarn: pytest.WarningsRecorder) -> None:
    pd = pytest.importorskip("pandas")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    clf = MLPClassifier((5,), early_stopping=True, max_iter=4, random_state=0).set_callbacks(monitor)
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf.fit(frame, y)
    rows = monitor.get_logs().data
    assert len([row for row in rows if row["task_name"] == "epoch"]) == clf.n_iter_
    assert rows[-1]["accuracy"] == clf.score(frame, y)
    assert not [w for w in recwarn if "feature names" in str(w.message)]


def test_callbacks_of_a_search_reach_the_network() -> None:
    pytest.importorskip("rich")
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(MLPClassifier((3,), max_iter=2, random_state=0), {"alpha": [0.1, 1.0]}, cv=2)
    search.set_callbacks(callback.ProgressBar()).fit(X, y)
    assert search.best_estimator_.n_iter_ == 2


def test_callbacks_follow_a_clone_and_can_be_removed() -> None:
    from sklearn.base import clone

    recorder = Recorder()
    clf = MLPClassifier((3,), max_iter=1).set_callbacks(recorder)
    clone(clf).fit(X, y)
    events = len(recorder.events)
    assert events
    clf.set_callbacks().fit(X, y)
    assert len(recorder.events) == events
