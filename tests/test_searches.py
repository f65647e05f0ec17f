"""Searches and engines of others, each skipped where it is not installed."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn

pytest.importorskip("sklearn")

pytestmark = [
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),
    pytest.mark.filterwarnings("ignore:The total space of parameters"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def arrays(m=200):
    X = np.random.default_rng(0).standard_normal((m, 4))
    return X, (X[:, 0] > X[:, 1]).astype(int)


def classifier(**options):
    return fn.MLPClassifier((6,), **{"random_state": 0, "n_threads": 1} | options)


@pytest.mark.parametrize("name", ["HalvingGridSearchCV", "HalvingRandomSearchCV"])
def test_successive_halving_of_epochs(name):
    pytest.importorskip("sklearn.experimental.enable_halving_search_cv")
    from sklearn import model_selection

    rates = {"learning_rate_init": [1e-9, 1e-8, 1e-7, 0.03]}
    options = {"resource": "max_iter", "min_resources": 2, "max_resources": 8, "factor": 2, "cv": 2, "random_state": 0}
    if name == "HalvingRandomSearchCV":
        options["n_candidates"] = 4
    search = getattr(model_selection, name)(classifier(), rates, **options).fit(*arrays())
    assert search.n_resources_ == [2, 4, 8] and search.n_candidates_ == [4, 2, 1]
    assert search.best_params_["learning_rate_init"] == 0.03
    assert search.best_estimator_.max_iter == search.best_estimator_.n_iter_ == 8


def test_incremental_of_dask_ml():
    wrappers = pytest.importorskip("dask_ml.wrappers")
    da = pytest.importorskip("dask.array")
    X, y = arrays()
    model = wrappers.Incremental(classifier(), shuffle_blocks=False)
    model.fit(da.from_array(X, chunks=(50, 4)), da.from_array(y, chunks=50), classes=[0, 1])
    expected = classifier()
    for rows in np.split(np.arange(200), 4):
        expected.partial_fit(X[rows], y[rows], classes=[0, 1])
    np.testing.assert_array_equal(model.estimator_.coefs_[0], expected.coefs_[0])
    np.testing.assert_array_equal(model.predict(da.from_array(X, chunks=(50, 4))).compute(), expected.predict(X))


@pytest.mark.parametrize("name", ["HyperbandSearchCV", "IncrementalSearchCV"])
def test_adaptive_searches_of_dask_ml(name):
    """With the setting of the guide, without which they fail for every estimator."""
    searches = pytest.importorskip("dask_ml.model_selection")
    dask = pytest.importorskip("dask")
    da = pytest.importorskip("dask.array")
    distributed = pytest.importorskip("distributed")
    rates = {"learning_rate_init": [1e-9, 1e-8, 1e-7, 0.03]}
    more = {} if name == "HyperbandSearchCV" else {"n_initial_parameters": "grid", "decay_rate": None}
    search = getattr(searches, name)(classifier(batch_size=20), rates, max_iter=9, random_state=0, test_size=0.25, **more)
    X, y = arrays()
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        dask.config.set(scheduler=client.get),
    ):
        search.fit(da.from_array(X, chunks=(50, 4)), da.from_array(y, chunks=50), classes=[0, 1])
    assert search.best_params_["learning_rate_init"] == 0.03 and search.best_score_ > 0.9
    calls = search.cv_results_["partial_fit_calls"]
    assert len(search.best_estimator_.loss_curve_) == max(calls) == 9
    assert min(calls) < 9 or name == "IncrementalSearchCV"


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()


def test_trials_of_ray_tune_are_ended(ray, tmp_path):
    """The recipe of the guide on searches."""
    tune = pytest.importorskip("ray.tune")
    X, y = arrays()

    class Report(fn.Callback):
        def on_epoch_end(self, session):
            tune.report({"loss": session.history.val_loss[-1]})

    def trial(config):
        net = fn.Network([fn.Dense(6, "relu"), fn.Dense(2, "softmax")], 4, random_state=0)
        options = {"learning_rate": config["rate"], "epochs": 4, "random_state": 0, "n_threads": 1}
        net.fit(X, y, validation_data=(X, y), callbacks=[Report()], **options)

    tuner = tune.Tuner(
        trial,
        param_space={"rate": tune.grid_search([0.03, 1e-9])},
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            max_concurrent_trials=1,
            scheduler=tune.schedulers.ASHAScheduler(max_t=4, grace_period=1, reduction_factor=2),
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    )
    found = tuner.fit()
    assert not found.errors
    assert {result.config["rate"]: result.metrics["training_iteration"] for result in found} == {0.03: 4, 1e-9: 1}
    assert found.get_best_result().config["rate"] == 0.03


def test_ray_as_the_backend_of_joblib(ray):
    joblib = pytest.importorskip("joblib")
    from ray.util.joblib import register_ray
    from sklearn.model_selection import GridSearchCV

    register_ray()
    X, y = arrays()
    search = GridSearchCV(classifier(max_iter=3), {"alpha": [1e-4, 1.0]}, cv=2)
    here = search.fit(X, y).cv_results_["mean_test_score"]
    with joblib.parallel_backend("ray", n_jobs=2):
        there = search.fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(there, here)


def test_dask_as_the_backend_of_joblib():
    joblib = pytest.importorskip("joblib")
    distributed = pytest.importorskip("distributed")
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(classifier(max_iter=3), {"alpha": [1e-4, 1.0]}, cv=2)
    X, y = arrays()
    here = search.fit(X, y).cv_results_["mean_test_score"]
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_backend("dask"),
    ):
        there = search.fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(there, here)


def test_trials_of_optuna_are_pruned():
    """The recipe of the guide on searches."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    X, y = arrays()

    class Pruning(fn.Callback):
        def __init__(self, trial):
            self.trial = trial

        def on_epoch_end(self, session):
            self.trial.report(session.history.val_loss[-1], session.epoch)
            if self.trial.should_prune():
                raise optuna.TrialPruned

    def objective(trial):
        net = fn.Network([fn.Dense(6, "relu"), fn.Dense(2, "softmax")], 4, random_state=0)
        rate = trial.suggest_categorical("rate", [0.03, 1e-9])
        history = net.fit(
            X, y, validation_data=(X, y), learning_rate=rate, epochs=8, random_state=0, callbacks=[Pruning(trial)], n_threads=1
        )
        return history.val_loss[-1]

    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2)
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.GridSampler({"rate": [0.03, 1e-9]}))
    study.enqueue_trial({"rate": 0.03})
    study.enqueue_trial({"rate": 1e-9})
    study.optimize(objective, n_trials=2)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    assert study.trials[1].last_step < 8
