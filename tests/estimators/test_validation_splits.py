"""Which rows are set aside for validation: by fraction, by splitters of scikit-learn, by group, by row numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn
from comparison import equal
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
    cross_validate,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from fastnet.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Data = tuple[np.ndarray, np.ndarray]
Seen = list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture
def groups() -> np.ndarray:
    """The group of each of 120 rows: 12 groups of unequal sizes, in random order."""
    return np.random.RandomState(0).choice(12, 120, p=np.arange(1, 13) / 78)


@pytest.fixture
def seen() -> Seen:
    """Validation rows that `remember` was shown."""
    return []


@pytest.fixture
def remember(seen: Seen) -> Callable[[Any, np.ndarray, np.ndarray], float]:
    """A scorer that records its rows."""

    def scorer(estimator: Any, X: np.ndarray, y: np.ndarray) -> float:
        seen.append((X, y))
        return 0.0

    return scorer


def _rows_with_numbers(X: np.ndarray) -> np.ndarray:
    """Features whose first column is the number of the row."""
    return np.c_[np.arange(len(X)), X]


def _small(cls: type, **options: Any) -> Any:
    return cls(**{"hidden_layer_sizes": (3,), "early_stopping": True, "max_iter": 1, "random_state": 0, **options})


SPLITTERS_OF_GROUPS = [
    GroupShuffleSplit(5, test_size=0.3, random_state=1),
    GroupKFold(4),
    StratifiedGroupKFold(3),
    LeaveOneGroupOut(),
]


@pytest.mark.parametrize("splitter", SPLITTERS_OF_GROUPS, ids=lambda splitter: type(splitter).__name__)
def test_no_group_straddles_the_split(
    binary: Data, groups: np.ndarray, splitter: Any, seen: Seen, remember: Callable[..., float]
) -> None:
    X, y = _rows_with_numbers(binary[0]), binary[1]
    for cls, targets in ((MLPClassifier, y), (MLPRegressor, (y == "yes").astype(int))):
        model = _small(cls, validation_split=splitter, scoring=remember).fit(X, targets, groups=groups)
        validation = seen[-1][0][:, 0].astype(int)
        train = np.setdiff1d(np.arange(len(X)), validation)
        assert not set(groups[train]) & set(groups[validation])
        assert model.t_ == len(train)
        np.testing.assert_array_equal(validation, list(splitter.split(X, targets, groups))[-1][1])


@pytest.mark.parametrize("kind", ["list", "text", "series", "polars"])
def test_groups_of_any_kind(binary: Data, groups: np.ndarray, kind: str) -> None:
    X, y = binary
    match kind:
        case "list":
            given: Any = groups.tolist()
        case "text":
            given = np.char.add("g", groups.astype(str)).astype(object)
        case "series":
            given = pytest.importorskip("pandas").Series(groups, index=range(500, 620))
        case _:
            given = pytest.importorskip("polars").Series(groups)
    split = GroupShuffleSplit(random_state=0)
    one, other = (_small(MLPClassifier, validation_split=split).fit(X, y, groups=g) for g in (given, groups))
    if kind != "text":  # as text the labels sort differently, which gives another split
        assert equal(one, other)
    assert len(one.validation_scores_) == 1


def test_groups_with_sparse_rows_and_weights(binary: Data, groups: np.ndarray) -> None:
    X, y = binary
    model = _small(MLPClassifier, validation_split=GroupKFold(4), max_iter=3)
    weights = np.linspace(1, 2, len(y))
    dense = model.fit(X, y, weights, groups=groups).validation_scores_
    assert model.fit(scipy.sparse.csr_matrix(X), y, weights, groups=groups).validation_scores_ == dense


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({}, {"groups": None}, r"gives no split of these 120 rows: The 'groups' parameter should not be None.*groups=groups"),
        ({}, {"groups": np.zeros(119)}, r"group of each of the 120 rows of X, got an array of shape \(119,\)"),
        ({}, {"groups": np.zeros((120, 1))}, r"group of each of the 120 rows of X, got an array of shape \(120, 1\)"),
        ({}, {"groups": 3}, r"group of each of the 120 rows of X, got an array of shape \(\)"),
        ({}, {"groups": np.zeros(120)}, "gives no split of these 120 rows: Cannot have number of splits n_splits=3 greater than"),
        ({}, {"groups": np.full(120, np.nan)}, "gives no split of these 120 rows: .*contains NaN"),
        ({"validation_split": None}, {}, "groups are passed to fit, but nothing is split by them"),
        ({"early_stopping": False}, {}, "groups are passed to fit, but nothing is split by them"),
        ({"solver": "lbfgs"}, {}, "groups are passed to fit, but nothing is split by them"),
        ({}, {"X_val": np.zeros((4, 6)), "y_val": [0, 1, 0, 1]}, "groups are passed to fit, but nothing is split by them"),
        ({"validation_split": LeaveOneOut()}, {"groups": None}, "leaves 119 rows to train on and 1 to validate on; at least 1"),
    ],
)
def test_groups_that_cannot_be_used(
    binary: Data, groups: np.ndarray, cls: type, options: dict[str, Any], arguments: dict[str, Any], message: str
) -> None:
    X, y = binary[0], (binary[1] == "yes").astype(int)
    model = _small(cls, validation_split=GroupKFold(3)).fit(X, y, groups=groups)
    expected, attributes = model.predict(X), dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.set_params(**options).fit(X, y, **{"groups": groups, **arguments})
    np.testing.assert_array_equal(model.predict(X), expected)
    assert vars(model).keys() == attributes.keys()
    unfitted = _small(cls, validation_split=GroupKFold(3)).set_params(**options)
    with pytest.raises(ValueError, match=message):
        unfitted.fit(X, y, **{"groups": groups, **arguments})
    assert not [name for name in vars(unfitted) if name.endswith("_")]


def test_splitter_that_has_no_use_for_groups_says_so(binary: Data, groups: np.ndarray) -> None:
    X, y = binary
    with pytest.warns(UserWarning, match="The groups parameter is ignored by KFold"):
        _small(MLPClassifier, validation_split=KFold(3)).fit(X, y, groups=groups)


def test_splitters_of_ones_own(regression: Data) -> None:
    """They need no parameter for groups if none are given."""

    class LastRows:
        def split(self, X: Any, y: Any) -> Any:
            yield np.arange(len(X) - 10), np.arange(len(X) - 10, len(X))

        def get_n_splits(self) -> int:
            return 1

    X, y = regression
    model = _small(MLPRegressor, validation_split=LastRows())
    assert model.fit(X, y).t_ == 110
    with pytest.raises(ValueError, match="gives no split of these 120 rows: .*unexpected keyword argument 'groups'"):
        model.fit(X, y, groups=np.arange(120))


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_groups_are_routed_through_searches_and_pipelines(binary: Data, groups: np.ndarray, cls: type) -> None:
    X, y = binary[0], (binary[1] == "yes").astype(int)
    model = _small(cls, validation_split=GroupShuffleSplit(1, test_size=0.3, random_state=0))
    with sklearn.config_context(enable_metadata_routing=True):
        model.set_fit_request(groups=True)
        pipeline = Pipeline([("scale", StandardScaler()), ("net", model)])
        scores = cross_validate(pipeline, X, y, cv=GroupKFold(3), params={"groups": groups}, error_score="raise")
        search = GridSearchCV(pipeline, {"net__alpha": [1e-4, 1.0]}, cv=GroupKFold(2), error_score="raise")
        search.fit(X, y, groups=groups)
        with pytest.raises(ValueError, match="The 'groups' parameter should not be None"):
            cross_validate(model, X, y, cv=2, error_score="raise")
    assert len(scores["test_score"]) == 3
    assert search.best_estimator_[-1].t_ < len(y)


def test_the_last_of_several_splits(regression: Data, seen: Seen, remember: Callable[..., float]) -> None:
    X, y = regression
    fold = np.full(len(y), -1)
    fold[5:25] = 0
    row_numbers = [(np.arange(60), np.arange(60, 120)), (np.arange(100), np.arange(100, 120))]
    shuffled = ShuffleSplit(3, test_size=0.1, random_state=2)
    for splitter, expected in (
        (TimeSeriesSplit(4), y[96:]),
        (PredefinedSplit(fold), y[5:25]),
        (5, y[96:]),
        (row_numbers, y[100:]),
        (shuffled, y[list(shuffled.split(X))[-1][1]]),
    ):
        reg = _small(MLPRegressor, validation_split=splitter, scoring=remember).fit(X, y)
        np.testing.assert_array_equal(seen[-1][1], expected)
        assert reg.t_ == len(y) - len(expected)


def test_time_series_are_trained_on_the_past_only(regression: Data, seen: Seen, remember: Callable[..., float]) -> None:
    """A split with a gap, whose rows are in neither part."""
    X, y = regression
    splitter = TimeSeriesSplit(3, gap=7, test_size=20)
    reg = _small(MLPRegressor, validation_split=splitter, scoring=remember).fit(_rows_with_numbers(X), y)
    assert seen[-1][0][:, 0].tolist() == list(range(100, 120))
    assert reg.t_ == 93


def test_splits_stratified_by_many_classes_and_by_sets_of_labels(
    binary: Data, seen: Seen, remember: Callable[..., float]
) -> None:
    X, _ = binary
    y = np.repeat([0, 1, 2], [60, 40, 20])
    for options in ({"stratify": True, "validation_fraction": 0.1}, {"validation_split": StratifiedShuffleSplit(1)}):
        _small(MLPClassifier, scoring=remember, **options).fit(X, y)
        assert np.bincount(seen[-1][1]).tolist() == [6, 4, 2]
    labels = np.c_[y > 0, y > 1].astype(int)
    _small(MLPClassifier, scoring=remember, stratify=True).fit(X, labels)
    assert seen[-1][1].sum(axis=0).tolist() == [6, 2]
    labels[0] = [0, 1]
    with pytest.raises(ValueError, match="least populated class"):
        _small(MLPClassifier, stratify=True).fit(X, labels)


def test_splits_that_cannot_be_used(regression: Data) -> None:
    X, y = regression
    everything = np.arange(len(y))
    with pytest.raises(ValueError, match="leaves 0 rows to train on and 120 to validate on; at least 1 and 2 are needed"):
        MLPRegressor(early_stopping=True, validation_split=[(everything[:0], everything)]).fit(X, y)
    with pytest.raises(ValueError, match="leaves 120 rows to train on and 1 to validate on; at least 1 and 2 are needed"):
        MLPRegressor(early_stopping=True, validation_split=[(everything, everything[:1])]).fit(X, y)


@pytest.mark.parametrize(
    ("validation_split", "message"),
    [
        ([], "gives no split of these 120 rows: not enough values to unpack"),
        ([(1, 2, 3)], "gives no split of these 120 rows: too many values to unpack"),
        ([([0, 1], [119, 120])], r"Row numbers must be integers from 0 to 119, got \[119, 120\]"),
        ([([0.5], [1, 2])], r"Row numbers must be integers from 0 to 119, got \[0.5\]"),
        ([("a", [1, 2])], "Row numbers must be integers from 0 to 119, got 'a'"),
    ],
)
def test_splits_of_other_rows(regression: Data, validation_split: Any, message: str) -> None:
    X, y = regression
    with pytest.raises(ValueError, match=message):
        MLPRegressor(early_stopping=True, validation_split=validation_split).fit(X, y)


def test_groups_and_masks_as_splits(regression: Data) -> None:
    X, y = regression
    splits = list(GroupKFold(4).split(X, y, np.arange(120) // 10))
    masks = [[np.isin(np.arange(120), rows) for rows in splits[-1]]]
    curves = [
        MLPRegressor(early_stopping=True, validation_split=split, max_iter=3, random_state=0).fit(X, y).validation_scores_
        for split in (splits, masks)
    ]
    assert curves[0] == curves[1]
