"""Tables on Dask: what is learnt does not depend on partitions."""

from __future__ import annotations

import numpy as np
import pytest
from dask_models import (
    COLUMNS,
    EXPECTED_WARNINGS,
    TABULAR,
    base,
    dask,
    in_frames,
    of_networks,
    of_table,
    table,
)

import fastnet as fn
from fastnet.dask import MLPClassifier, TabularClassifier, TabularRegressor

pytestmark = EXPECTED_WARNINGS


class TestTables:
    @pytest.mark.parametrize("sizes", [(300,), (1, 0, 199, 0, 100)])
    def test_partitions_do_not_matter(self, sizes):
        frame = table()
        expected, model = of_table(frame), of_table(frame, sizes)
        assert model.summary() == expected.summary()
        np.testing.assert_array_equal(of_networks(model), of_networks(expected))
        whole = fn.TabularPreprocessor().fit(frame[COLUMNS])
        assert model.preprocessor_.summary() == whole.summary()
        assert model.target_names_ == ["class"]
        assert list(model.feature_names_in_) == COLUMNS

    def test_classes(self):
        """Sorted, and one of them in one partition alone."""
        frame = table().sort_values("class", ignore_index=True)
        frame.loc[290:, "class"] = "priceless"
        frame.loc[290:, "x"] = 9.0
        model = of_table(frame, n_epochs=40)
        X = in_frames(frame[COLUMNS], (150, 0, 150))
        assert list(model.classes_) == ["cheap", "dear", "priceless"]
        assert model.score(frame[COLUMNS], frame["class"]) > 0.9
        assert model.score(X, in_frames(frame, (150, 0, 150))["class"]) == model.score(frame[COLUMNS], frame["class"])
        p = model.predict_proba(X)
        assert p.dtype == np.float64 and p.shape[1] == 3
        np.testing.assert_allclose(p.compute(), model.predict_proba(frame[COLUMNS]), rtol=1e-5)
        assert list(model.predict(X).compute()) == list(model.predict(frame[COLUMNS]))

    def test_values_of_delayed_partitions(self):
        frame = table()
        rows = [slice(0, 10), slice(10, 10), slice(10, 300)]
        X, y = ([dask.delayed(frame[names][part]) for part in rows] for names in (COLUMNS, ["value", "x"]))
        y = [dask.delayed(np.nan_to_num)(part) for part in y]
        model = TabularRegressor(n_shards=2, random_state=0, **TABULAR | {"n_epochs": 40}).fit(X, y)
        assert model.score(frame[COLUMNS], np.nan_to_num(frame[["value", "x"]])) > 0.5
        assert model.predict(X).compute().shape == (300, 2)

    @pytest.mark.parametrize("quantiles", [0.9, (0.1, 0.5, 0.9)])
    def test_quantiles(self, quantiles):
        frame = table()[[*COLUMNS, "value"]]
        X = in_frames(frame, (150, 150))
        model = TabularRegressor(metric="quantile", quantiles=quantiles, n_shards=2, random_state=0, **TABULAR)
        model.fit(X, "value")
        expected = model.to_local().score(frame[COLUMNS], frame["value"])
        assert model.score(X[COLUMNS], X["value"]) == pytest.approx(expected, rel=1e-6)

    def test_weights_and_validation_rows(self):
        frame = table()
        X, y = in_frames(frame[COLUMNS], (150, 150)), in_frames(frame[["class"]], (150, 150))["class"]
        w = (y == "cheap").astype(float)
        model = TabularClassifier(n_shards=3, random_state=0, **TABULAR).fit(X, y, w)
        assert set(model.predict(frame[COLUMNS])) == {"cheap"}
        model = TabularClassifier(n_shards=3, random_state=0, metric="log_loss", **TABULAR).fit(X, y, X_val=X, y_val=y)
        p = model.predict_proba(frame[COLUMNS])[np.arange(300), (frame["class"] == "dear").astype(int)]
        assert model.validation_score_ == pytest.approx(np.log(p).mean(), rel=1e-5)
        assert np.isnan(of_table(frame[:20], (12, 8)).validation_score_)

    def test_partitions_without_weight(self):
        frame = table().sort_values("class", ignore_index=True)
        n = int((frame["class"] == "cheap").sum())
        X, y = in_frames(frame[COLUMNS], (n, 300 - n)), in_frames(frame[["class"]], (n, 300 - n))["class"]
        model = TabularClassifier(n_shards=3, random_state=0, **TABULAR).fit(X, y, (y == "cheap").astype(float))
        assert set(model.predict(frame[COLUMNS])) == {"cheap"}
        with pytest.raises(ValueError, match="at least one non-zero number"):
            model.fit(X, y, (y == "neither").astype(float))

    def test_to_local_shares_nothing(self):
        frame = table()
        model = of_table(frame)
        local = model.to_local()
        assert type(local) is fn.TabularClassifier
        expected = model.predict_proba(frame[COLUMNS])
        model.networks_[0].params[:] = 0
        np.testing.assert_array_equal(local.predict_proba(frame[COLUMNS]), expected)
        assert base.clone(model).get_params() == model.get_params()

    def test_tables_in_memory_are_trained_here(self):
        frame = table()
        given = frame[COLUMNS], frame["class"]
        model, local = (make(random_state=0, **TABULAR).fit(*given) for make in (TabularClassifier, fn.TabularClassifier))
        np.testing.assert_array_equal(of_networks(model), of_networks(local))

    @pytest.mark.parametrize(
        ("change", "options", "message"),
        [
            ({"x": [1.0] * 200 + [np.nan] * 100}, {"estimator": TabularRegressor, "target": "x"}, "partition 1: .* NaN"),
            ({"class": "one"}, {}, "at least two classes in y, among the rows that have a weight; got one"),
            ({}, {"time_limit": 9.0}, "time_limit is not supported on Dask"),
            ({}, {"sizes": (0, 0)}, "The partitions have no rows"),
            ({}, {"n_shards": 0}, "n_shards"),
        ],
    )
    def test_errors(self, change, options, message):
        with pytest.raises(ValueError, match=message):
            of_table(table().assign(**change), **{"sizes": (150, 150), **options})

    def test_validation_rows_without_targets(self):
        frame = in_frames(table(), (100, 200))
        with pytest.raises(ValueError, match="X_val and y_val belong together"):
            TabularClassifier().fit(frame, "class", X_val=frame)

    def test_a_name_of_a_column_that_is_not_there(self):
        with pytest.raises(TypeError, match="y='class' is the name of a column, so X must be a Dask data frame, got list"):
            TabularClassifier().fit([dask.delayed(table())], "class")

    @pytest.mark.parametrize("estimator", [MLPClassifier(), TabularClassifier()])
    @pytest.mark.parametrize("dtype", [object, "string", "category"])
    def test_missing_labels(self, estimator, dtype):
        pandas = pytest.importorskip("pandas")
        frames = pytest.importorskip("dask.dataframe")
        frame = pandas.DataFrame({"x": np.arange(8.0), "y": pandas.Series([*"uvuvuv", None, "v"], dtype=dtype)})
        message = r"partition 1: Labels in y are missing \((None|nan|<NA>)\) in some rows: leave these rows out"
        data = frames.from_pandas(frame, npartitions=2)
        with pytest.raises(ValueError, match=message):
            estimator.fit(data[["x"]], data["y"])
        with pytest.raises(ValueError, match=message):
            estimator.fit(*([dask.delayed(rows) for rows in (frame[:4][names], frame[4:][names])] for names in (["x"], "y")))

    @pytest.mark.parametrize("estimator", [MLPClassifier(), TabularClassifier()])
    @pytest.mark.parametrize("dtype", [str, object])
    def test_labels_that_are_text_in_one_partition_and_numbers_in_another(self, estimator, dtype):
        X, y = np.zeros((40, 2)), [np.arange(20) % 2, np.array(["u", "v"] * 10, dtype)]
        with pytest.raises(ValueError, match="Labels in y are text in some rows and numbers in others: make all of them text"):
            estimator.fit([dask.delayed(part) for part in np.split(X, 2)], [dask.delayed(part) for part in y])

    def test_groups_are_refused(self):
        with pytest.raises(ValueError, match="groups= needs all rows in memory"):
            TabularClassifier().fit(in_frames(table(), (300,)), "class", groups=np.ones(300))
