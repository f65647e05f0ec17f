"""Files of fitted estimators of tables."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from helpers import mixed_table
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastnet as fn

pd = pytest.importorskip("pandas")

X, LABELS, VALUES = mixed_table()
QUICK = {"preset": "fast", "random_state": 0}


class TestFiles:
    @pytest.mark.parametrize(
        ("model", "y"),
        [
            (fn.TabularClassifier(**QUICK, n_epochs=2), LABELS),
            (fn.TabularClassifier(**QUICK, n_epochs=2, n_folds=2), VALUES > 105),
            (fn.TabularRegressor(**QUICK, n_epochs=2), VALUES),
            (fn.TabularRegressor(**QUICK, n_epochs=2, metric="quantile", quantiles=(0.1, 0.9)), VALUES),
        ],
    )
    def test_saved_and_pickled(self, model, y, tmp_path):
        model = clone(model).fit(X, y)
        model.save(tmp_path / "model.safetensors")
        for again in (fn.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
            assert type(again) is type(model)
            assert again.get_params() == model.get_params()
            assert np.array_equal(again.predict(X), model.predict(X))
            assert again.summary() == model.summary()
            assert again.history_[0].val_loss == model.history_[0].val_loss
            assert np.array_equal(again.feature_importances_, model.feature_importances_)
            assert "_measure_importances" not in vars(again)
            if hasattr(model, "predict_proba"):
                assert np.array_equal(again.predict_proba(X), model.predict_proba(X))

    def test_preprocessor(self, tmp_path):
        prepare = fn.TabularPreprocessor().fit(X)
        prepare.save(tmp_path / "prepare.safetensors")
        again = fn.load(tmp_path / "prepare.safetensors")
        assert np.array_equal(again.transform(X), prepare.transform(X))
        assert again.summary() == prepare.summary()
        assert list(again.get_feature_names_out()) == list(prepare.get_feature_names_out())

    def test_what_is_not_fitted_is_not_saved(self, tmp_path):
        with pytest.raises(NotFittedError):
            fn.TabularClassifier().save(tmp_path / "model.safetensors")

    @pytest.mark.parametrize(
        "parameters",
        [
            {"categorical_features": pd.Index(["town"])},
            {"categorical_features": pd.Series([False, False, True, False, False])},
            {"categorical_features": range(2)},
            {"hidden_layer_sizes": pd.Series([8, 4])},
            {"metric": "quantile", "quantiles": pd.Series([0.1, 0.9])},
        ],
    )
    def test_parameters_of_every_kind_that_fit_takes(self, parameters, tmp_path):
        model = fn.TabularRegressor(**QUICK, n_epochs=1, **parameters).fit(X, VALUES)
        model.save(tmp_path / "model.safetensors")
        again = fn.load(tmp_path / "model.safetensors")
        assert np.array_equal(again.predict(X), model.predict(X))
        for name, value in parameters.items():
            assert np.array_equal(getattr(again, name), value)
        assert np.array_equal(clone(again).fit(X, VALUES).predict(X), model.predict(X))

    def test_a_series_of_polars(self, tmp_path):
        pl = pytest.importorskip("polars")
        frame = pl.DataFrame({"a": np.arange(40) % 4, "b": np.arange(40.0)})
        prepare = fn.TabularPreprocessor(categorical_features=pl.Series(["a"])).fit(frame)
        prepare.save(tmp_path / "prepare.safetensors")
        again = fn.load(tmp_path / "prepare.safetensors")
        assert again.summary() == prepare.fit(frame).summary()
        assert again.fit(frame).summary() == prepare.summary()

    def test_states_of_random_numbers(self, tmp_path):
        model = fn.TabularClassifier(preset="fast", n_epochs=1, random_state=np.random.RandomState(0)).fit(X, LABELS)
        with pytest.raises(TypeError, match=r"the parameter random_state holds .*: use set_params\(random_state=None\)"):
            model.save(tmp_path / "model.safetensors")
        model.set_params(random_state=None).save(tmp_path / "model.safetensors")
        assert np.array_equal(fn.load(tmp_path / "model.safetensors").predict(X), model.predict(X))
