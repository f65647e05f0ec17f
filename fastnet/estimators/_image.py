"""A classifier of images, with a network of its own choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnet._hints import takes_other_words
from fastnet.augment import Augmentation
from fastnet.callbacks import EarlyStopping
from fastnet.layers import Conv2d, Dense, Flatten, Layer, MaxPool
from fastnet.network import Network
from fastnet.optimizers import Adam

from ._sklearn import unchanged_on_error

#: Images are pooled to at most so many lines and columns.
COARSEST = 8

#: Filters double from one convolution to the next, up to so many.
MOST_FILTERS = 128

#: Fewer rows than this many for each class are too few to set some aside.
ROWS_TO_SET_ASIDE = 20


class ImageClassifier(ClassifierMixin, BaseEstimator):
    """Convolutional network for small images, with nothing to configure.

    Numbers are standardised by channel. Layers of 3 x 3 convolutions and pools make features at 8 x 8 positions at most, on which
    a hidden layer with dropout decides. A tenth of the images is set aside, where there are enough; training ends when the loss
    on them no longer falls, with the parameters that were best. `network_` is an ordinary `fastnet.Network`.

    Parameters
    ----------
    image_shape : tuple of int, default=None
        Height and width, or height, width and channels, of flat rows. By default flat rows are square images of one channel, or
        a line, where their length is not a square.
    channels : {"last", "first"}, default="last"
        Where 4-D arrays have their channels.
    augment : Augmentation or list of them, default=None
        Random changes of the standardised images, anew in each epoch: ``fastnet.augment.Shift(2)``, say.
    max_iter : int, default=100
        Most epochs.
    random_state : int, RandomState instance or None, default=None
        Of initial weights, the images set aside, the order of rows, dropout, and `augment`.
    n_threads : int, default=None
        Most threads; by default those that the machine has.
    verbose : bool, default=False
        Whether progress is shown.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    network_ : fastnet.Network
    image_shape_ : tuple of int
        Height, width, channels.
    mean_, scale_ : ndarray of shape (channels,)
        Of the training images.
    history_ : fastnet.History
    n_iter_ : int
        Epochs.
    n_features_in_ : int
        Numbers of an image.
    feature_names_in_ : ndarray of shape (n_features,)
        Of flat rows with names.

    See Also
    --------
    fastnet.Network : For networks of your own choice.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastnet import ImageClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = ImageClassifier(max_iter=10, random_state=0).fit(X[:1000], y[:1000])
    >>> clf.image_shape_
    (8, 8, 1)
    >>> clf.score(X[1000:], y[1000:]) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "image_shape": ["array-like", None],
        "channels": [StrOptions({"last", "first"})],
        "augment": [Augmentation, list, tuple, None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "verbose": ["boolean"],
    }

    @takes_other_words()
    def __init__(
        self,
        *,
        image_shape: Sequence[int] | None = None,
        channels: str = "last",
        augment: Augmentation | Sequence[Augmentation] | None = None,
        max_iter: int = 100,
        random_state: int | np.random.RandomState | None = None,
        n_threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.image_shape = image_shape
        self.channels = channels
        self.augment = augment
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, channels), (n_samples, height, width) or (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Class labels.

        Returns
        -------
        self : ImageClassifier
        """
        with unchanged_on_error(self):
            rows, shape = self._rows(X)
            rows, y = validate_data(self, rows, y, dtype=np.float32, order="C", ensure_min_samples=2)
            check_classification_targets(y)
            self.image_shape_ = self._shape_of_rows(rows.shape[1]) if shape is None else shape
            self.classes_, codes = np.unique(y, return_inverse=True)
            if len(self.classes_) < 2:
                raise ValueError(
                    f"ImageClassifier needs at least 2 classes, got {len(self.classes_)} class: {self.classes_[0]!r}."
                )
            images = rows.reshape(-1, *self.image_shape_)
            self.mean_ = images.mean(axis=(0, 1, 2), dtype=np.float64)
            deviation = images.std(axis=(0, 1, 2), dtype=np.float64)
            self.scale_ = np.where(deviation > 0, deviation, 1.0)
            self._train(self._standardised(rows), codes)
        return self

    def _train(self, X: np.ndarray, codes: np.ndarray) -> None:
        random = check_random_state(self.random_state)
        seed = int(random.randint(2**31))
        self.network_ = Network(self._layers(), input_shape=self.image_shape_, random_state=seed)
        options: dict[str, Any] = {}
        if len(X) >= ROWS_TO_SET_ASIDE * len(self.classes_) and np.bincount(codes).min() > 1:
            X, X_val, codes, codes_val = train_test_split(X, codes, test_size=0.1, stratify=codes, random_state=seed)
            options = {"validation_data": (X_val, codes_val), "callbacks": [EarlyStopping(patience=15)]}
        self.history_ = self.network_.fit(
            X,
            codes,
            optimizer=Adam(0.002),
            batch_size=32,
            epochs=self.max_iter,
            augment=self.augment,
            random_state=seed,
            n_threads=self.n_threads,
            progress=self.verbose,
            **options,
        )
        self.n_iter_ = len(self.history_)

    def _layers(self) -> list[Layer]:
        """Blocks of convolutions and a pool, as many as make the image small, two at least."""
        height, width, _ = self.image_shape_
        layers: list[Layer] = []
        filters = 32
        while len(layers) < 4 or max(height, width) > COARSEST:
            layers += [Conv2d(filters, 3, padding="same"), MaxPool((min(height, 2), min(width, 2)))]
            height, width, filters = max(height // 2, 1), max(width // 2, 1), min(2 * filters, MOST_FILTERS)
        return [*layers, Flatten(), Dense(128, dropout=0.5), Dense(len(self.classes_), "softmax")]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of the shapes that `fit` takes

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        check_is_fitted(self)
        rows, shape = self._rows(X)
        if shape is not None and shape != self.image_shape_:
            raise ValueError(f"X has images of shape {shape}, but ImageClassifier was fitted with {self.image_shape_}.")
        rows = validate_data(self, rows, dtype=np.float32, order="C", reset=False)
        return np.asarray(self.network_.forward(self._standardised(rows)))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Most probable classes.

        Parameters
        ----------
        X : array-like of the shapes that `fit` takes

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        p = self.predict_proba(X)
        return np.asarray(self.classes_[p.argmax(axis=1)])

    def _rows(self, X: Any) -> tuple[Any, tuple[int, int, int] | None]:
        """Flat rows, and the shape of an image where X has it; anything else as it is."""
        images = np.asarray(X) if isinstance(X, (list, tuple)) else X
        if not isinstance(images, np.ndarray) or images.ndim not in (3, 4):
            return X, None
        if images.ndim == 3:
            images = images[..., None]
        elif self.channels == "first":
            images = images.transpose(0, 2, 3, 1)
        return images.reshape(len(images), -1), images.shape[1:]

    def _shape_of_rows(self, n_features: int) -> tuple[int, int, int]:
        """Height, width and channels of flat rows."""
        if self.image_shape is not None:
            shape = (*(int(n) for n in self.image_shape), 1)[:3]
            if len(shape) != 3 or min(shape) < 1 or math.prod(shape) != n_features:
                raise ValueError(f"image_shape {self.image_shape} must name the {n_features} numbers of a row of X.")
            return shape
        side = math.isqrt(n_features)
        return (side, side, 1) if side * side == n_features else (1, n_features, 1)

    def _standardised(self, rows: np.ndarray) -> np.ndarray:
        images = rows.reshape(-1, *self.image_shape_)
        return ((images - self.mean_.astype(np.float32)) / self.scale_.astype(np.float32)).reshape(len(rows), -1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
