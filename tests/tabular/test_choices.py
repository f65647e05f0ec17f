"""What the presets choose, by rows, categories and parameters that are given."""

from __future__ import annotations

import pytest

import fastnet as fn
from fastnet.tabular._choices import category_units, resolved
from fastnet.tabular._metrics import CLASSIFICATION, REGRESSION


@pytest.mark.parametrize(
    ("n_rows", "n_categories", "units", "batch_size", "n_epochs"),
    [(200_000, 100_000, 2, 128, 8), (2000, 100, 2, 32, 14), (80_000, 1000, 8, 64, 8), (10**7, 10**6, 2, 1024, 8)],
)
def test_batches_that_outweigh_the_updates_of_categories(n_rows, n_categories, units, batch_size, n_epochs):
    assert category_units(n_categories, n_rows, 8) == units
    metric = CLASSIFICATION["accuracy"]
    chosen = resolved(fn.TabularClassifier(preset="fast"), n_rows, 3, [n_categories], metric, regression=False)
    assert (chosen.batch_size, chosen.n_epochs) == (batch_size, n_epochs)


@pytest.mark.parametrize(
    ("preset", "n_rows", "n_epochs"),
    [
        ("default", 50, 256),
        ("default", 1000, 63),
        ("default", 8000, 48),
        ("default", 32_000, 24),
        ("default", 10**6, 16),
        ("fast", 8000, 14),
        ("best", 8000, 128),
    ],
)
def test_of_few_rows_there_are_more_epochs_and_of_many_fewer(preset, n_rows, n_epochs):
    chosen = resolved(fn.TabularClassifier(preset=preset), n_rows, 1, [], CLASSIFICATION["accuracy"], regression=False)
    assert chosen.n_epochs == n_epochs


@pytest.mark.parametrize(
    ("options", "n_rows", "n_trained", "n_members"),
    [
        ({}, 2000, 5, 2),
        ({}, 4000, 5, 1),
        ({}, 4001, 3, 1),
        ({"n_folds": 4, "n_members": 2}, 4001, 4, 2),
        ({"n_folds": 4, "n_trained_folds": 2}, 2000, 2, 2),
        ({"n_folds": 2, "n_trained_folds": 4}, 4001, 2, 1),
        ({"preset": "best"}, 4001, 5, 2),
        ({"preset": "fast"}, 2000, 4, 1),
        ({"preset": "fast"}, 2001, 2, 1),
    ],
)
def test_of_many_rows_fewer_networks_are_trained(options, n_rows, n_trained, n_members):
    chosen = resolved(fn.TabularRegressor(**options), n_rows, 1, [], REGRESSION["rmse"], regression=True)
    assert (chosen.n_trained_folds, chosen.n_members) == (n_trained, n_members)


@pytest.mark.parametrize(
    ("preset", "n_rows", "of_classification", "of_regression"),
    [
        ("fast", 2000, 0.04 * (32 / 14) ** 0.5, 0.05),
        ("fast", 2001, 0.04 * (64 / 10) ** 0.5, 0.1),
        ("default", 2001, 0.04, 0.1),
    ],
)
def test_learning_rates_by_batches(preset, n_rows, of_classification, of_regression):
    classifier, regressor = fn.TabularClassifier(preset=preset), fn.TabularRegressor(preset=preset)
    chosen = resolved(classifier, n_rows, 1, [], CLASSIFICATION["accuracy"], regression=False)
    assert chosen.learning_rate == pytest.approx(of_classification)
    chosen = resolved(regressor, n_rows, 1, [], REGRESSION["rmse"], regression=True)
    assert chosen.learning_rate == pytest.approx(of_regression)


def test_a_batch_is_no_larger_than_the_rows():
    model = fn.TabularRegressor(preset="fast", batch_size=10_000)
    chosen = resolved(model, 200, 1, [], REGRESSION["rmse"], regression=True)
    assert chosen.learning_rate == pytest.approx(0.2 * (200 / 256) ** 0.5)
