"""A classifier of images, with a network of its own choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from fastnet._hints import takes_other_words
from fastnet.augment import Augmentation, Shift
from fastnet.layers import Conv2d, Dense, Flatten, Layer, MaxPool

from ._ready import ReadyClassifier, StandardisedEstimator

#: Images are pooled to at most so many lines and columns.
COARSEST = 8

#: Filters double from one convolution to the next, up to so many.
MOST_FILTERS = 128

#: Images that a training shows the network, all epochs together, where its epochs are not given.
IMAGES_SHOWN = 100_000

#: Images are shifted by up to this part of their height and width.
SHIFTED = 14


class ImageClassifier(StandardisedEstimator, ReadyClassifier):
    """Convolutional network for small images, with nothing to configure.

    Images are standardised by channel. Layers of 3 x 3 convolutions and pools reduce them to features at 8 x 8 positions at most,
    which a hidden layer with dropout classifies. Images are shifted at random in training, and the learning rate falls to 0 along
    half a cosine. With at least 500 images for each class on average, a tenth of all images is set aside; training then ends when
    the loss on them no longer falls, and the best parameters are kept. `network_` is an ordinary `fastnet.Network`.

    Parameters
    ----------
    image_shape : tuple of int, default=None
        Height and width, or height, width and channels, of the images in flat rows. By default flat rows are square images of
        one channel, or images of height 1 if their length is not a square.
    channels : {"last", "first"}, default="last"
        Whether the channels of images come last or first. Where they come first, images of several channels must be 4-D arrays.
    augment : "auto", Augmentation, list of them or None, default="auto"
        Random changes of the standardised images, drawn anew in each epoch. "auto" shifts them by up to a fourteenth of their
        height and width: ``fastnet.augment.Shift(2)`` for 28 x 28 pixels. Photographs gain by ``fastnet.augment.Flip()`` too.
    max_iter : int or None, default=None
        Maximum number of epochs. None: as many as show the network 100,000 images, but at least 10 and at most 100.
    random_state : int, RandomState instance or None, default=None
        Determines the initial weights, the images set aside, the order of rows, dropout, and `augment`.
    n_threads : int, default=None
        Maximum number of threads; by default those that the machine has.
    verbose : bool, default=False
        Whether progress is shown.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    network_ : fastnet.Network
    image_shape_ : tuple of int
        Height, width, channels.
    mean_, scale_ : ndarray of shape (channels,)
        Mean and standard deviation of each channel of the training images.
    history_ : fastnet.History
    n_iter_ : int
        Epochs.
    n_features_in_ : int
        Number of values in an image.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names of X, where flat rows have them.

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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = ReadyClassifier._parameter_constraints | {
        "image_shape": ["array-like", None],
        "channels": [StrOptions({"last", "first"})],
        "augment": [StrOptions({"auto"}), Augmentation, list, tuple, None],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
    }

    _fewest_to_set_aside = 500

    @takes_other_words()
    def __init__(
        self,
        *,
        image_shape: Sequence[int] | None = None,
        channels: str = "last",
        augment: str | Augmentation | Sequence[Augmentation] | None = "auto",
        max_iter: int | None = None,
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

    def _layers(self, *, ragged: bool) -> list[Layer]:
        """Blocks of convolutions and a pool, as many as make the image small, two at least."""
        height, width, _ = self.input_shape_
        layers: list[Layer] = []
        filters = 32
        while len(layers) < 4 or max(height, width) > COARSEST:
            layers += [Conv2d(filters, 3, padding="same"), MaxPool((min(height, 2), min(width, 2)))]
            height, width, filters = max(height // 2, 1), max(width // 2, 1), min(2 * filters, MOST_FILTERS)
        return [*layers, Flatten(), Dense(128, dropout=0.5)]

    def _epochs(self, n_rows: int) -> int:
        return min(max(round(IMAGES_SHOWN / n_rows), 10), 100) if self.max_iter is None else self.max_iter

    def _augmentations(self) -> Any:
        if self.augment != "auto":
            return self.augment
        height, width, _ = self.input_shape_
        return Shift((round(height / SHIFTED), round(width / SHIFTED)))

    @property
    def image_shape_(self) -> tuple[int, ...]:
        return self.input_shape_

    def _rows(self, X: Any) -> tuple[Any, tuple[int, int, int] | None]:
        """Flat rows, and the shape of an image where X has it; anything else as it is."""
        images = X
        if isinstance(X, (list, tuple)):
            self._refuse_unequal(X)
            images = np.asarray(X)
        if not isinstance(images, np.ndarray) or images.ndim not in (3, 4):
            return X, None
        if images.ndim == 3:
            images = images[..., None]
        elif self.channels == "first":
            images = images.transpose(0, 2, 3, 1)
        return images.reshape(len(images), math.prod(images.shape[1:])), images.shape[1:]

    def _refuse_unequal(self, images: Sequence[Any]) -> None:
        """Refuse, with a ValueError, images that are not all of one shape."""
        shapes = list(dict.fromkeys(map(np.shape, images)))
        if len(shapes) > 1:
            raise ValueError(
                f"X has images of shape {shapes[0]} and of {shapes[1]}: {type(self).__name__} takes images of one size, "
                "resize or crop them first."
            )

    def _shape_of_rows(self, n_features: int) -> tuple[int, int, int]:
        """Height, width and channels of flat rows."""
        if self.image_shape is not None:
            given = tuple(self.image_shape)
            if len(given) not in (2, 3) or not all(isinstance(n, Integral) and n > 0 for n in given):
                raise ValueError(
                    f"image_shape must be two or three positive integers (height, width, channels), got {self.image_shape!r}."
                )
            height, width, channels = (*map(int, given), 1)[:3]
            if height * width * channels != n_features:
                raise ValueError(f"image_shape {self.image_shape} must name the {n_features} numbers of a row of X.")
            return height, width, channels
        side = math.isqrt(n_features)
        return (side, side, 1) if side * side == n_features else (1, n_features, 1)
