"""Columns of text that is lost: it differs in every row, or in most, and may have been meant as numbers or dates."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastnet as fn

pd = pytest.importorskip("pandas")

VALUES = np.random.default_rng(0).standard_normal(90).round(6)


class TestTextThatDiffersInEveryRow:
    """It is left out, with a warning where it was written for something else."""

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            (np.random.default_rng(0).standard_normal(40).astype(str), "numbers.*pandas.to_numeric"),
            ([str(i) for i in range(40)], "numbers"),
            ([f" {i}e-{i} " for i in range(39)] + [None], "numbers"),
            ([f"2024-03-{i % 28 + 1:02} 12:{i:02}:00.5" for i in range(40)], "dates or times.*pandas.to_datetime"),
            ([f"20{i:02}-03-01" for i in range(40)], "dates or times"),
            ([f"12:{i:02}" for i in range(40)], "dates or times"),
        ],
    )
    def test_a_warning(self, values, said):
        X = pd.DataFrame({"a": values, "b": range(40), "c": values})
        message = f"Left out as text that differs in every row: 'a', 'c'. The text looks like {said}"
        with pytest.warns(UserWarning, match=message) as caught:
            prepare = fn.TabularPreprocessor().fit(X)
        assert caught[0].filename == __file__
        assert [column.kind for column in prepare.columns_] == ["dropped", "number", "dropped"]
        data = fn.data.from_batches(lambda number: (X[number * 20 :][:20], None), 2, rows=(20, 20))
        with pytest.warns(UserWarning, match="text that differs in every row"):
            fn.TabularPreprocessor().fit(data)

    @pytest.mark.parametrize(
        "values",
        [
            [f"name {i}" for i in range(40)],
            [f"{i:06}" for i in range(40)],
            [str(i // 2) for i in range(40)],
            [f"{i:02}-31" for i in range(40)],
        ],
    )
    def test_no_warning(self, values):
        with warnings.catch_warnings(action="error"):
            fn.TabularPreprocessor().fit(pd.DataFrame({"a": values}))


class TestNumbersBesideAFewOtherWords:
    """A word among them makes the whole column text, which is then lost."""

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            (["?", *VALUES[1:].astype(str)], r"Left out as text that differs in every row: 'a' \(but for '\?'\). The .* numbers"),
            (np.where(np.arange(90) % 9, VALUES.astype(str), "?"), r"Text that is unknown in most rows: 'a' \(but for '\?'\)."),
            (["?", *VALUES[1:59], "!", *VALUES[60:]], r"Left out .* 'a' \(but for '\?'\). The text looks like numbers"),
            ([f"2024-01-01 10:{i % 60:02}:{i // 60:02}" for i in range(89)] + ["never"], r"\(but for 'never'\).*dates or times"),
            ([f"{number}" for number in range(45)] * 2 + ["?"] * 10, None),
        ],
    )
    @pytest.mark.parametrize("blocks", [False, True])
    def test_a_warning(self, values, said, blocks):
        X = pd.DataFrame({"a": pd.Series(list(values), dtype=object), "b": np.arange(len(values))})
        data = fn.data.from_batches(lambda number: (X[number * 50 :][:50], None), 2, rows=(50, len(X) - 50)) if blocks else X
        if said is None:
            with warnings.catch_warnings(action="error"):
                fn.TabularPreprocessor().fit(data)
            return
        with pytest.warns(UserWarning, match=said) as caught:
            fn.TabularPreprocessor().fit(data)
        (message,) = [str(warning.message) for warning in caught]
        assert "errors='coerce'), which makes other entries missing" in message and "na_values" in message

    def test_words_of_which_few_are_numbers(self):
        with warnings.catch_warnings(action="error"):
            fn.TabularPreprocessor().fit(pd.DataFrame({"a": [f"{i}" if i % 3 == 0 else f"item {i}" for i in range(90)]}))

    def test_numbers_that_are_said_to_be_categories(self):
        with warnings.catch_warnings(action="error"):
            fn.TabularPreprocessor(categorical_features=["a"]).fit(pd.DataFrame({"a": VALUES}))


def test_rare_categories_do_not_differ_in_every_row():
    towns = pd.DataFrame({"town": [f"town {number % 10}" for number in range(200)]})
    prepare = fn.TabularPreprocessor(min_category_count=30).fit(towns)
    assert prepare.summary() == "town: left out: no category has 30 rows (min_category_count)"
