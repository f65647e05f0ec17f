"""Forms of targets, features and weights: masks as sets of labels, dates, weights at the limits of float32."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import type_of_target

from fastnet import ImageClassifier, MLPClassifier, MLPRegressor, SequenceClassifier, TabularClassifier, TextClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4))
Y = (X @ rng.normal(size=(4, 3)) > 0).astype(np.uint8)
DAYS = np.datetime64("2024-01-01") + np.arange(120)


class TestMasks:
    """Any value other than 0 is true, as in scikit-learn."""

    @pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"early_stopping": True}, {"label_smoothing": 0.1}])
    @pytest.mark.parametrize("mark", [255, 2, -1, 3.0])
    @pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_train_as_zeros_and_ones(self, options, mark, form, dtype):
        masks = Y.astype(type(mark)) * mark
        assert type_of_target(masks) == "multilabel-indicator"
        models = [MLPClassifier((8,), max_iter=5, random_state=0, **options) for _ in range(2)]
        fitted = [model.fit(X.astype(dtype), form(y)) for model, y in zip(models, (Y.astype(int), masks), strict=True)]
        assert fitted[0].loss_ == fitted[1].loss_ > 0
        assert all(np.array_equal(a, b) for a, b in zip(fitted[0].coefs_, fitted[1].coefs_, strict=True))

    def test_partial_fit_and_validation_data(self):
        def curves(mark):
            clf = MLPClassifier((8,), max_iter=4, random_state=0, early_stopping=True, scoring="f1_macro")
            clf.fit(X, Y * mark, X_val=X[:40], y_val=Y[:40] * mark)
            online = MLPClassifier((8,), random_state=0)
            for _ in range(3):
                online.partial_fit(X, Y * mark, classes=[0, 1, 2])
            return clf.validation_scores_, online.loss_curve_

        assert curves(np.uint8(1)) == curves(np.uint8(255))

    def test_weights_of_labels(self):
        weights = [{0: 1, 1: 2}, {1: 3}, {}]
        losses = [MLPClassifier((8,), max_iter=3, random_state=0, class_weight=weights).fit(X, Y * m).loss_ for m in (1, 200)]
        assert losses[0] == losses[1]

    @pytest.mark.parametrize("low, high", [(-1, 1), (1, 2)])
    @pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"early_stopping": True}])
    def test_two_values_without_zero_are_refused(self, low, high, options):
        with pytest.raises(ValueError, match=f"y holds the values {low} and {high} in several columns.*Pass y == {high}"):
            MLPClassifier(**options).fit(X, np.where(Y, high, low))

    def test_as_validation_data_they_are_refused(self):
        with pytest.raises(ValueError, match="y holds the values -1 and 1"):
            MLPClassifier(early_stopping=True).fit(X, Y, X_val=X, y_val=Y.astype(int) * 2 - 1)

    def test_all_labels_true_is_no_error(self):
        MLPClassifier(max_iter=2).fit(X, np.full_like(Y, 255))


class TestDates:
    @pytest.mark.parametrize("fit", ["fit", "partial_fit"])
    @pytest.mark.parametrize(
        "dates",
        [DAYS, DAYS - DAYS[0], pd.Series(DAYS), pl.Series(DAYS), list(DAYS)],
        ids=["days", "spans", "pandas", "polars", "list"],
    )
    def test_are_no_values_to_predict(self, fit, dates):
        with pytest.raises(TypeError, match="y must hold numbers, got .*timedelta64"):
            getattr(MLPRegressor(), fit)(X, dates)

    @pytest.mark.parametrize(
        "features",
        [
            DAYS[:, None],
            pd.DataFrame({"day": DAYS}),
            pd.DataFrame({"day": DAYS, "x": X[:, 0]}),
            pl.DataFrame({"day": DAYS}),
            [[day] for day in DAYS],
        ],
        ids=["array", "pandas", "mixed", "polars", "lists"],
    )
    @pytest.mark.parametrize("model", [MLPClassifier, MLPRegressor])
    def test_are_no_features(self, features, model):
        with pytest.raises(TypeError, match="X must hold numbers, got .*columns of their own"):
            model().fit(features, Y[:, 0])
        fitted = model(max_iter=2).fit(X[:, :1], Y[:, 0])
        with pytest.raises(TypeError, match="X must hold numbers"):
            fitted.predict(features)

    def test_are_classes_like_any_other(self):
        days = DAYS[Y[:, 0].astype(int)]
        assert set(MLPClassifier((8,), max_iter=2).fit(X, days).predict(X)) <= set(DAYS[:2])


class TestWeights:
    @pytest.mark.parametrize("scale", [1e-60, 1e-320, 1e60, 1e306])
    @pytest.mark.parametrize("model", [MLPClassifier, MLPRegressor])
    @pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}])
    def test_only_ratios_matter(self, scale, model, options):
        weight = np.repeat([1.0, 2.0, 4.0], 40)
        losses = [
            model(hidden_layer_sizes=(8,), alpha=0, max_iter=3, random_state=0, **options)
            .fit(X.astype(np.float32), Y[:, 0], weight * factor)
            .loss_
            for factor in (1.0, scale)
        ]
        assert losses[1] == pytest.approx(losses[0], rel=1e-4 if scale == 1e-320 else 1e-6)

    def test_all_zero_is_still_refused(self):
        with pytest.raises(ValueError, match="non-zero"):
            MLPClassifier().fit(X, Y[:, 0], np.zeros(120))

    @pytest.mark.parametrize("options", [{}, {"class_weight": "balanced"}, {"class_weight": {0: 2.0}}])
    def test_a_scorer_of_the_callers_gets_the_callers_weights(self, options):
        seen = []

        def scorer(estimator, X, y, **weights):
            seen.append(set(weights))
            return 1.0

        clf = MLPClassifier((4,), max_iter=2, early_stopping=True, scoring=scorer, **options)
        clf.fit(X, Y[:, 0])
        assert seen.pop() == set()
        clf.fit(X, Y[:, 0], np.ones(120))
        assert seen.pop() == {"sample_weight"}


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_sizes_of_small_integers_do_not_wrap(dtype):
    with pytest.warns(ConvergenceWarning):
        clf = MLPClassifier(np.array([100, 100], dtype), max_iter=1, learning_rate_init=1e-9, random_state=0).fit(X, Y[:, 0])
    assert 0.9 * np.sqrt(6 / 200) < np.abs(clf.coefs_[1]).max() <= np.sqrt(6 / 200)


@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.parametrize(
    "form", ["list", "array", "masked", "object", "str", "string", "category", "arrow", "arrow's dictionary"]
)
def test_missing_labels(missing, form):
    X, y = np.arange(8.0).reshape(4, 2), ["u", missing, "v", "u"]
    if form == "array":
        y = np.array(y, dtype=object)
    elif form == "masked":
        y = np.ma.masked_equal(["u", "missing", "v", "u"], "missing")
    elif "arrow" in form:
        pyarrow = pytest.importorskip("pyarrow")
        column = pyarrow.array(y, from_pandas=True)
        y = pyarrow.chunked_array([column if form == "arrow" else column.dictionary_encode()])
    elif form != "list":
        y = pd.Series(y, dtype=form)
    message = r"Labels in y are missing \((None|nan|<NA>)\) in some rows: leave these rows out"
    model = MLPClassifier(early_stopping=True)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    with pytest.raises(ValueError, match=message):
        model.fit(X, ["u", "u", "v", "v"], X_val=X, y_val=y)
    with pytest.raises(ValueError, match=message):
        MLPClassifier().partial_fit(X, y, classes=["u", "v"])
    with pytest.raises(ValueError, match=message):
        TabularClassifier().fit(X, y)
    for model, rows in ((SequenceClassifier(), X), (ImageClassifier(), X), (TextClassifier(), ["a", "b", "c", "d"])):
        with pytest.raises(ValueError, match=message):
            model.fit(rows, y)


class TestValuesThatAreNotFinite:
    """Regressors refuse them in every form; scikit-learn's validation lets objects and text through."""

    FORMS = {
        "None": lambda t, bad: [*t[:-1].tolist(), None],
        "object": lambda t, bad: np.array([*t[:-1].tolist(), bad], dtype=object),
        "series": lambda t, bad: pd.Series([*t[:-1].tolist(), None], dtype=object),
        "text": lambda t, bad: np.array([*t[:-1], bad]).astype(str),
    }

    @pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}, {"scale_target": True}])
    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("form", FORMS)
    def test_are_refused(self, options, bad, form):
        t = X[:, 0]
        y = self.FORMS[form](t, bad)
        reg = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0, **options).fit(X, t)
        before = reg.predict(X)
        message = "y holds .* every value must be finite|contains (NaN|infinity)"
        with pytest.raises(ValueError, match=message):
            reg.fit(X, y)
        if "early_stopping" in options:
            with pytest.raises(ValueError, match=message):
                reg.fit(X, t, X_val=X, y_val=y)
        elif "solver" not in options:
            with pytest.raises(ValueError, match=message):
                reg.partial_fit(X, y)
        assert np.array_equal(reg.predict(X), before)

    @pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"scale_target": True}])
    @pytest.mark.filterwarnings("error::RuntimeWarning")
    def test_that_float32_does_not_hold_are_refused(self, options):
        reg = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, **options)
        with pytest.raises(ValueError, match=r"y holds -?inf at index .* \(as float32\)"):
            reg.fit(X.astype(np.float32), X[:, 0] * 1e39)


@pytest.mark.parametrize("model", [MLPClassifier(), TabularClassifier(preset="fast"), ImageClassifier()], ids=repr)
def test_masked_weights_are_refused(model):
    weights = np.ma.masked_equal([1.0, 2.0, -1.0, 1.0], -1)
    with pytest.raises(ValueError, match="sample_weight is a masked array with 1 masked entries"):
        model.fit(np.zeros((4, 8, 8)) if isinstance(model, ImageClassifier) else np.eye(4), [0, 1, 0, 1], sample_weight=weights)
