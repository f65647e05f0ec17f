"""RealMLP-TD written with fastnet's layers (Holzmüller, Grinsztajn & Steinwart 2024, appendix A)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler
from sklearn.utils.metaestimators import available_if

import fastnet as fn
from fastnet.cli._peers import Prepared

if TYPE_CHECKING:
    import pandas as pd

BATCH_SIZE, DROPOUT, WEIGHT_DECAY = 256, 0.15, 0.02
#: Factors of the learning rate of scales, biases and shares of activations.
RATES = {"s": 6.0, "b": 0.1, "p": 0.1}


def four_cycles(t: float) -> float:
    """Learning rate at `t` of training: four waves from 0 up to 1 and down, each twice as long as the one before."""
    return (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t))) / 2


def flat_then_cosine(t: float) -> float:
    """Dropout and decay at `t` of training: 1 in the first half, then half a cosine down to 0."""
    return 1.0 if t < 0.5 else (1 + math.cos(math.pi * (2 * t - 1))) / 2


def filled(model: BaseEstimator) -> Prepared:
    """A model that takes no missing numbers, for any data frame: they are filled, with indicators."""
    numbers = SimpleImputer(strategy="median", add_indicator=True)
    fill = ColumnTransformer(
        [("numbers", numbers, make_column_selector(dtype_include="number"))],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return Prepared(make_pipeline(fill.set_output(transform="pandas"), model))


class Columns(BaseEstimator):
    """What RealMLP-TD makes of columns: numbers and columns of few categories scaled by their quartiles and bent, codes of many.

    Unlike `fastnet.TabularPreprocessor`, which does the rest, pytabkit scales the -1 and +1 of two categories, too.
    """

    def fit_transform(self, X: pd.DataFrame, y: Any = None) -> np.ndarray:
        self.prepare_ = fn.TabularPreprocessor(min_category_count=1)
        rows = self.prepare_.fit_transform(X)
        self.signs_ = [column.outputs[0] for column in self.prepare_.columns_ if column.kind == "sign"]
        self.scale_ = RobustScaler().fit(rows[:, self.signs_]) if self.signs_ else None
        return self._bent(rows)

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        return self._bent(self.prepare_.transform(X))

    def _bent(self, rows: np.ndarray) -> np.ndarray:
        if self.signs_:
            z = self.scale_.transform(rows[:, self.signs_])
            rows[:, self.signs_] = z / np.sqrt(1 + (z / 3) ** 2)
        return rows


class RealMLP(BaseEstimator):
    """RealMLP-TD for a data frame without missing numbers: a fifth of the rows chooses the best epoch.

    Parameters
    ----------
    regression : bool
        Whether targets are numbers, which `predict` gives; else `predict_proba` gives the classes' probabilities.
    random_state : int
    n_threads : int
    n_epochs : int
    """

    def __init__(self, regression: bool = False, random_state: int = 0, n_threads: int = 1, n_epochs: int = 256) -> None:
        self.regression = regression
        self.random_state = random_state
        self.n_threads = n_threads
        self.n_epochs = n_epochs

    def fit(self, X: pd.DataFrame, y: Any) -> Self:
        X_train, X_val, y_train, y_val = train_test_split(X, self._learnt(y), test_size=0.2, random_state=self.random_state)
        self.columns_ = Columns()
        rows, held = self.columns_.fit_transform(X_train), self.columns_.transform(X_val)
        n_outputs = 1 if self.regression else len(self.classes_)
        self.network_ = fn.Network(self._layers(n_outputs), n_inputs=rows.shape[1], random_state=self.random_state)
        initialise_from(self.network_, rows, np.random.default_rng(self.random_state))
        if self.regression:
            self.mean_, self.deviation_, self.bounds_ = y_train.mean(), y_train.std(), (y_train.min(), y_train.max())
            y_train = (y_train - self.mean_) / self.deviation_
        self._train(rows, y_train, BestEpoch(lambda: self._badness(held, y_val)))
        return self

    def _learnt(self, y: Any) -> np.ndarray:
        if self.regression:
            return np.asarray(y, dtype=np.float64)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        return numbers

    def _layers(self, n_outputs: int) -> list[fn.Layer]:
        prepare = self.columns_.prepare_
        embedded = {*prepare.continuous_, *prepare.codes_}
        others = [column for column in range(prepare.n_features_out_) if column not in embedded]
        branches: list[fn.Layer] = []
        if prepare.continuous_:
            branches.append(fn.NumericEmbedding("pbld", columns=prepare.continuous_))
        if others:
            branches.append(fn.Columns(others))
        if prepare.codes_:
            branches.append(fn.CategoryEmbedding(prepare.n_categories_, 8, columns=prepare.codes_))
        layers = [fn.Concat(*branches), fn.Scale()]
        for _ in range(3):
            layers.append(fn.Dense(256, "identity"))
            layers.append(fn.Parametric("mish" if self.regression else "selu", dropout=DROPOUT))
        return [*layers, fn.Dense(n_outputs, "identity" if self.regression else "softmax")]

    def _train(self, X: np.ndarray, y: np.ndarray, best: BestEpoch) -> None:
        """Train on whole batches: the rows that an epoch leaves over are others than those of the next."""
        batch_size = min(BATCH_SIZE, len(X))
        n_batches = len(X) // batch_size
        n_steps, rate = self.n_epochs * n_batches, 0.2 if self.regression else 0.04
        rng = np.random.default_rng(self.random_state)

        def fading(j: int) -> float:
            return flat_then_cosine(j / n_steps)

        self.network_.fit(
            X,
            y,
            loss="squared_error" if self.regression else fn.CrossEntropy(label_smoothing=0.1),
            optimizer=fn.Adam(beta2=0.95),
            learning_rate=lambda j: rate * four_cycles(j / n_steps),
            learning_rate_factors=rate_factors(self.network_),
            weight_decay=WEIGHT_DECAY,
            decay_factors=decay_factors(self.network_),
            schedules={"weight_decay": fading, "dropout": fading},
            batch_size=batch_size,
            epochs=self.n_epochs,
            sampling=lambda session: rng.permutation(len(X))[: n_batches * batch_size],
            callbacks=[best],
            random_state=self.random_state,
            n_threads=self.n_threads,
        )

    def _badness(self, X: np.ndarray, y: np.ndarray) -> float:
        """RMSE or error rate."""
        if self.regression:
            return float(np.sqrt(np.mean((self._in_units(X) - y) ** 2)))
        return float(np.mean(self.network_.predict(X) != y))

    def _in_units(self, X: np.ndarray) -> np.ndarray:
        return np.clip(self.mean_ + self.deviation_ * self.network_.forward(X)[:, 0].astype(np.float64), *self.bounds_)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self._in_units(self.columns_.transform(X))

    @available_if(lambda self: not self.regression)
    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        p = self.network_.forward(self.columns_.transform(X)).astype(np.float64)
        return p / p.sum(axis=1, keepdims=True)


def initialise_from(network: fn.Network, X: np.ndarray, rng: np.random.Generator) -> None:
    """Let each unit have a pre-activation of deviation 1 and its kink inside of the data, layer by layer."""
    first = next(number for number, layer in enumerate(network.layers) if isinstance(layer, fn.Dense))
    A = network.activations(X)[first]
    for number, layer in enumerate(network.layers[first:], first + 1):
        if not isinstance(layer, fn.Dense):
            A = fn.Network([fn.Parametric(layer.activation)], n_inputs=A.shape[1]).forward(A)
            continue
        W, b = network.parameters[f"{number}.W"], network.parameters[f"{number}.b"]
        W[...] = rng.standard_normal(W.shape, dtype=W.dtype)
        A = A @ W
        deviation = np.maximum(A.std(axis=0), 1e-6)
        W /= deviation
        A /= deviation
        shares = rng.dirichlet(np.ones(5), b.size)
        chosen = rng.integers(len(X), size=shares.shape)
        b[...] = -(shares * A[chosen, np.arange(b.size)[:, None]]).sum(axis=1)
        A += b


def rate_factors(network: fn.Network) -> dict[str, float]:
    """Factors of the learning rate by names of parameters: embeddings of numbers learn slowly, and so do kinds in `RATES`.

    RealMLP-TD has W / sqrt(n_in) in place of W. Adam's steps are of one size whatever the gradient's, so a W that contains the
    factor learns the same at a rate that contains it, too.
    """
    embedding = tuple(name for name in network.parameters if ".periodic." in name or ".linear." in name)
    kinds = {name: 0.1 if name in embedding else RATES.get(name.rpartition(".")[2], 1.0) for name in network.parameters}
    return kinds | {name: 1 / math.sqrt(len(network.parameters[name])) for name in weights_of_layers(network)}


def decay_factors(network: fn.Network) -> dict[str, float]:
    """Factors of the decay: all but biases of layers, as "3.b", decay, weights of layers in the same time whatever their rate.

    pytabkit 1.7 applies factors of the learning rate to the decay twice, so they come once more here.
    """
    factors = rate_factors(network)
    of_weights = {name: 1 / factors[name] for name in weights_of_layers(network)}
    biases = {name: 0.0 for name in factors if name.endswith(".b") and name.count(".") == 1}
    return factors | of_weights | biases


def weights_of_layers(network: fn.Network) -> list[str]:
    return [f"{number}.W" for number, layer in enumerate(network.layers, 1) if isinstance(layer, fn.Dense)]


class BestEpoch(fn.Callback):
    """Ends with the parameters of the epoch that `badness` says least of; the last of equals."""

    def __init__(self, badness: Any) -> None:
        self.badness = badness
        self.least = math.inf

    def on_epoch_end(self, session: Any) -> None:
        if (found := self.badness()) <= self.least:
            self.least, self.params = found, session.network.params.copy()

    def on_train_end(self, session: Any) -> None:
        session.network.params[:] = self.params
