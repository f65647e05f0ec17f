"""Saving and loading fitted estimators."""

from __future__ import annotations

import warnings
from importlib import import_module

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastnet as fn
from fastnet import ImageClassifier, MLPClassifier, MLPRegressor, SequenceClassifier, SequenceRegressor, TextClassifier, augment
from fastnet.persistence import _container, _format, _states

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def X(rng):
    return rng.normal(size=(60, 5))


def _saved(estimator, path):
    estimator.save(path)
    return fn.load(path)


LABELS = {
    "binary int": np.arange(60) % 2 * 3 - 1,
    "multiclass int": np.arange(60) % 4,
    "strings": np.array(["no", "yes", "maybe"])[np.arange(60) % 3],
    "objects": np.array(["no", "yes", "maybe"], object)[np.arange(60) % 3],
    "bool": np.arange(60) % 2 == 0,
    "float": np.array([1.0, 2.0, 7.0])[np.arange(60) % 3],
    "unsigned bytes": (np.arange(60) % 3).astype(np.uint8),
    "one class": np.full(60, 7),
    "multilabel": np.stack([np.arange(60) % 2, np.arange(60) % 3 == 0, np.arange(60) % 5 == 0], axis=1).astype(int),
    "unicode": np.array(["größer", "較小", "\N{GRINNING FACE}"])[np.arange(60) % 3],
}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS.keys())
def test_classifier_round_trip(y, X, path):
    before = MLPClassifier((6,), max_iter=5, random_state=0).fit(X, y)
    after = _saved(before, path)
    assert type(after) is MLPClassifier
    assert after.classes_.dtype == before.classes_.dtype
    assert np.array_equal(after.classes_, before.classes_)
    assert np.array_equal(after.predict(X), before.predict(X))
    assert after.predict(X).dtype == before.predict(X).dtype
    assert np.array_equal(after.predict_proba(X), before.predict_proba(X))
    assert after.score(X, y) == before.score(X, y)


@pytest.mark.parametrize(
    "options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}, {"solver": "sgd", "learning_rate": "adaptive"}]
)
def test_every_fitted_attribute_survives(options, X, path, rng):
    before = MLPRegressor(hidden_layer_sizes=(6, 3), max_iter=5, random_state=0, **options).fit(X, rng.normal(size=(60, 2)))
    after = _saved(before, path)
    public = {name for name in vars(before) if name.endswith("_")}
    assert public == {name for name in vars(after) if name.endswith("_")}
    for name in sorted(public - {"coefs_", "intercepts_"}):
        mine, theirs = getattr(after, name), getattr(before, name)
        assert type(mine) is type(theirs), name
        assert mine == theirs, name
        if isinstance(mine, list):
            assert [type(value) for value in mine] == [type(value) for value in theirs], name
    for mine, theirs in zip(after.coefs_ + after.intercepts_, before.coefs_ + before.intercepts_, strict=True):
        assert np.array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    assert after.get_params() == before.get_params()
    assert np.array_equal(after.predict(X), before.predict(X))


@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
@pytest.mark.parametrize("dtype", [None, "float32"])
def test_scaled_targets(loss, dtype, X, path, rng):
    y = np.stack([100 + 5 * X[:, 0], 0.01 * X[:, 1]], axis=1)
    options = {"quantile": [0.9, 0.1]} if loss == "quantile" else {}
    before = MLPRegressor(loss, (6,), max_iter=5, random_state=0, dtype=dtype, scale_target=True, **options).fit(X, y)
    after = _saved(before, path)
    assert np.array_equal(after.predict(X), before.predict(X))
    assert vars(after.target_scaler_).keys() == vars(before.target_scaler_).keys()
    assert after.best_epoch_ == before.best_epoch_
    before._optimizer.state = None  # files hold no memory of it
    weights = rng.uniform(size=60)
    assert np.array_equal(after.partial_fit(X, y, weights).predict(X), before.partial_fit(X, y, weights).predict(X))


@pytest.mark.parametrize("later", [{"quantile": [0.1, 0.9]}, {"quantile": 0.3}, {"loss": "huber"}])
def test_quantiles_that_were_set_after_fit_change_no_prediction(later, X, path):
    before = MLPRegressor("quantile", (3,), quantile=[0.9, 0.5, 0.1], max_iter=2, random_state=0).fit(X, X[:, 0])
    expected = before.predict(X)
    after = _saved(before.set_params(**later), path)
    assert np.array_equal(before.predict(X), expected) and np.array_equal(after.predict(X), expected)
    assert after.get_params() == before.get_params()
    assert np.array_equal(after.fit(X, X[:, 0]).predict(X), before.fit(X, X[:, 0]).predict(X))


def test_a_loss_of_several_quantiles_that_was_set_after_fit_changes_no_prediction(X, path):
    before = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2).fit(X, X[:, 0])
    after = _saved(before.set_params(loss="quantile", quantile=[0.1, 0.9]), path)
    assert np.array_equal(after.predict(X), before.predict(X))


def test_parameters_of_every_kind(X, path, rng):
    options = {
        "hidden_layer_sizes": np.array([6, 4]),
        "activation": ["gelu", fn.LeakyReLU(0.2)],
        "solver": fn.AdamW(fn.StepDecay(0.01), weight_decay=0.1),
        "learning_rate": fn.LinearWarmup(fn.OneCycle(0.1), n_steps=3),
        "random_state": np.int64(3),
        "n_iter_no_change": np.inf,
        "dropout": (0.1, 0.2),
        "dtype": np.float32,
        "loss": fn.Quantile([0.1, 0.5, 0.9]),
        "max_iter": 3,
    }
    before = MLPRegressor(**options).fit(X, rng.normal(size=60))
    after = _saved(before, path)
    assert after.coefs_[0].dtype == np.float32
    assert after.solver == before.solver and after.learning_rate == before.learning_rate and after.loss == before.loss
    assert after.activation == before.activation and after.dropout == before.dropout
    assert after.n_iter_no_change == np.inf
    assert np.array_equal(after.hidden_layer_sizes, before.hidden_layer_sizes)
    assert np.array_equal(after.predict(X), before.predict(X))


def test_class_weight_keys_keep_their_types(X, path):
    y = np.array(["a", "b"])[np.arange(60) % 2]
    before = MLPClassifier((3,), max_iter=2, class_weight={np.str_("a"): 2, "b": np.float32(0.5)}, random_state=0).fit(X, y)
    assert _saved(before, path).class_weight == {"a": 2, "b": 0.5}


def test_feature_names(path, rng):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rng.normal(size=(60, 3)), columns=["length", "width", "größe"])
    before = MLPClassifier((4,), max_iter=3, random_state=0).fit(frame, np.arange(60) % 2)
    after = _saved(before, path)
    assert after.feature_names_in_.tolist() == ["length", "width", "größe"]
    assert after.feature_names_in_.dtype == object
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(after.predict(frame), before.predict(frame))
    with pytest.raises(ValueError, match="feature names"):
        after.predict(frame[["width", "length", "größe"]])


def test_sparse_multilabel_targets(X, path):
    y = sparse.csr_matrix(LABELS["multilabel"])
    before = MLPClassifier((4,), max_iter=3, random_state=0).fit(X, y)
    after = _saved(before, path)
    assert sparse.issparse(after.predict(X))
    assert (after.predict(X) != before.predict(X)).nnz == 0


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "absolute_error", "huber", "quantile"])
def test_regressor_losses(loss, X, path, rng):
    y = rng.poisson(3, size=60).astype(float)
    before = MLPRegressor(loss=loss, hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(X, y)
    after = _saved(before, path)
    assert after.out_activation_ == before.out_activation_
    assert np.array_equal(after.predict(X), before.predict(X))


@pytest.mark.parametrize("how", ["fit", "partial_fit", "warm_start"])
def test_a_loaded_estimator_trains_on(how, X, path):
    """The file's memory is not written to, and a new fit gives the same model as a new fit of the original."""
    y = np.arange(60) % 3
    before = MLPClassifier((6,), max_iter=4, random_state=0, warm_start=how == "warm_start").fit(X, y)
    content = before.save(path) or path.read_bytes()
    after = fn.load(path)
    train = MLPClassifier.partial_fit if how == "partial_fit" else MLPClassifier.fit
    train(after, X, y)
    assert path.read_bytes() == content
    assert not np.array_equal(after.coefs_[0], before.coefs_[0]) or how == "fit"
    if how == "fit":
        assert np.array_equal(before.fit(X, y).coefs_[0], after.coefs_[0])


def test_attributes_replaced_by_hand_are_what_is_saved(X, path):
    before = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X, X[:, 0])
    before.coefs_ = [2 * coef for coef in before.coefs_]
    assert np.array_equal(_saved(before, path).coefs_[0], before.coefs_[0])


def test_clone_pickle_and_deepcopy_of_a_loaded_estimator(X, path):
    import copy
    import pickle

    from sklearn.base import clone

    loaded = _saved(MLPClassifier((4,), max_iter=3, random_state=0).fit(X, np.arange(60) % 2), path)
    for twin in (copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
        assert np.array_equal(twin.predict_proba(X), loaded.predict_proba(X))
    assert clone(loaded).get_params() == loaded.get_params()


def test_unfitted_estimators_cannot_be_saved(path):
    with pytest.raises(NotFittedError):
        MLPClassifier().save(path)
    assert not path.exists()


@pytest.mark.parametrize(
    "name, value, other", [("random_state", np.random.RandomState(0), "None"), ("learning_rate", lambda step: 0.1, r"\.\.\.")]
)
def test_parameters_that_only_pickle_holds_are_named(name, value, other, X, path):
    estimator = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, **{name: value}).fit(X, X[:, 0])
    with pytest.raises(TypeError, match=rf"parameter {name} holds .*set_params\({name}={other}\)"):
        estimator.save(path)
    assert not path.exists()


def test_subclasses_are_not_silently_saved_as_their_base(X, path):
    class Mine(MLPClassifier):
        pass

    with pytest.raises(TypeError, match="cannot save a Mine"):
        Mine((3,), max_iter=2).fit(X, np.arange(60) % 2).save(path)


def _ready(name, rng):
    """A fitted estimator that chooses its network, and rows that it knows."""
    y = np.arange(40) % 2
    X = np.sin(np.linspace(0, 6, 20) * (2 + 3 * y[:, None]) + rng.uniform(0, 6, (40, 1)))
    if name == "images":
        images = X[:, :16].reshape(-1, 4, 4)
        return ImageClassifier(max_iter=1, augment=[augment.Shift(1), augment.Crop(0.9)]).fit(images, y == 1), images
    if name == "series":
        return SequenceClassifier("transformer", max_iter=1).fit(X[..., None], 3 * y), X[..., None]
    if name == "ragged":
        ragged = [row[: 12 + n % 8] for n, row in enumerate(X)]
        return SequenceClassifier("gru", max_iter=1).fit(ragged, y), [*ragged, np.tile(X[0], 3)]
    if name == "values":
        return SequenceRegressor(max_iter=1).fit(X, np.column_stack([y, 100 * y])), X
    texts = [f"{row[0]:.3f}" for row in X]
    return TextClassifier(max_iter=1).fit(texts, np.array(["no", "yes"])[y]), [*texts, "", "-1e-5 ?"]


@pytest.mark.parametrize("name", ["images", "series", "ragged", "values", "texts"])
def test_ready_estimators_round_trip(name, rng, path):
    before, rows = _ready(name, rng)
    after = _saved(before, path)
    assert {name for name in vars(before) if name.endswith("_")} == {name for name in vars(after) if name.endswith("_")}
    assert type(after) is type(before)
    assert after.get_params() == before.get_params()
    np.testing.assert_equal(vars(after.history_), vars(before.history_))
    np.testing.assert_array_equal(after.predict(rows), before.predict(rows))
    with pytest.raises(NotFittedError):
        clone(before).save(path)


@pytest.mark.parametrize(
    ("make", "later", "message"),
    [
        (lambda X, y: MLPClassifier((3,), max_iter=1).fit(X, y), {"dropout": []}, "The 'dropout' parameter of MLPClassifier"),
        (lambda X, y: SequenceRegressor(max_iter=1).fit(X, y), {"max_iter": 0}, "The 'max_iter' parameter of SequenceRegressor"),
        (lambda X, y: fn.Forecaster(max_iter=1).fit(np.ravel(X)), {"kind": "mlp"}, "The 'kind' parameter of Forecaster"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*Forecaster")
def test_what_could_not_be_loaded_is_not_saved(make, later, message, X, path):
    estimator = make(X, np.arange(60) % 2)
    estimator.save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"cannot save a {type(estimator).__name__} that load would refuse: .*{message}"):
        estimator.set_params(**later).save(path)
    assert path.read_bytes() == before


MISSING = object()


def _replaced(state, name, value):
    """The state with another value of this name, or without it."""
    pairs = [[key, value if key == name else old] for key, old in state["dict"]]
    return {"dict": [pair for pair in pairs if pair[1] is not MISSING]}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("vocabulary_", {"dict": []}, "vocabulary is not that of the network"),
        ("vocabulary_", {"dict": [[n, n + 2] for n in range(12)]}, "vocabulary is not that"),
        ("vocabulary_", 7, "cannot be made"),
        ("classes_", {"labels": ["str", ["one"]]}, "does not have the estimator's inputs and outputs"),
        ("input_shape_", {"tuple": [3]}, "does not have the estimator's inputs"),
        ("n_iter_", MISSING, "n_iter_"),
        ("history", {"dict": [["loss", 1]]}, "curves of a history are vectors"),
    ],
)
def test_a_state_that_does_not_fit_its_network(name, value, message, rng, path):
    content, tensors = _states.describe(_ready("texts", rng)[0])
    content["state"] = _replaced(content["state"], name, value)
    _container.write(path, _format.dump("text_classifier", content), tensors)
    with pytest.raises(ValueError, match=f"cannot load .*{message}"):
        fn.load(path)


def test_scales_that_do_not_fit_their_network(rng, path, monkeypatch):
    monkeypatch.setattr("fastnet.persistence._save._refuse_what_load_refuses", lambda *_: None)
    for name in ("mean_", "scale_"):
        reg, _ = _ready("values", rng)
        for wrong in (np.ones(2), np.array([-1.0 if name == "scale_" else np.nan])):
            setattr(reg, name, wrong)
            reg.save(path)
            with pytest.raises(ValueError, match="needs finite means and positive deviations"):
                fn.load(path)


def test_modules_of_estimators_have_the_kinds_that_files_name():
    """The table of kinds names modules, so that loading imports one of them only."""
    modules = {name: import_module(name) for name in _states.KINDS.values()}
    assert _states.KINDS == {kind: name for name, module in modules.items() for kind in module.KINDS}
