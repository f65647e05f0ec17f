"""ImageClassifier: the shapes of images it accepts, and what it does automatically."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastnet as fn
from fastnet import ImageClassifier, MaxPool, augment


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, stratify=y, random_state=0)


@pytest.fixture(scope="module")
def colours(request):
    """Images of 9 x 12 positions and 2 channels, whose class is the number of the channel with the bright spot."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    X = rng.normal(5, 1, (200, 9, 12, 2))
    for image, c, i, j in zip(X, y, rng.integers(0, 7, 200), rng.integers(0, 10, 200), strict=True):
        image[i : i + 2, j : j + 2, c] += 6
    return X, np.array(["red", "green"])[y]


def test_digits(digits):
    X, X_test, y, y_test = digits
    clf = ImageClassifier(max_iter=15, random_state=0).fit(X, y)
    assert clf.image_shape_ == (8, 8, 1)
    assert clf.score(X_test, y_test) > 0.96


def test_forms_of_images_give_the_same_model(colours):
    X, y = colours
    last = ImageClassifier(max_iter=4, random_state=0).fit(X, y)
    first = ImageClassifier(max_iter=4, random_state=0, channels="first").fit(X.transpose(0, 3, 1, 2), y)
    flat = ImageClassifier(max_iter=4, random_state=0, image_shape=(9, 12, 2)).fit(X.reshape(200, -1), y)
    assert last.image_shape_ == first.image_shape_ == flat.image_shape_ == (9, 12, 2)
    assert np.array_equal(last.network_.params, first.network_.params)
    assert np.array_equal(last.network_.params, flat.network_.params)
    assert np.array_equal(last.predict_proba(X), last.predict_proba(X.reshape(200, -1)))


def test_images_without_channels(colours):
    X, y = colours
    grey = X[..., 0]
    clf = ImageClassifier(max_iter=2, random_state=0).fit(grey, y)
    assert clf.image_shape_ == (9, 12, 1)
    assert np.array_equal(clf.predict(grey), clf.predict(grey.tolist()))


def test_it_learns_where_a_channel_is_bright(colours):
    X, y = colours
    clf = ImageClassifier(random_state=0).fit(X[:150], y[:150])
    assert clf.score(X[150:], y[150:]) > 0.9
    assert clf.classes_.tolist() == ["green", "red"]


def test_numbers_are_standardised_by_channel(colours):
    X, y = colours
    clf = ImageClassifier(max_iter=3, random_state=0).fit(X, y)
    scaled = ImageClassifier(max_iter=3, random_state=0).fit(X * [100, 0.25] + [0, 8], y)
    assert np.allclose(clf.predict_proba(X), scaled.predict_proba(X * [100, 0.25] + [0, 8]), atol=1e-2)


def test_types_of_numbers_make_no_difference(colours):
    X, y = colours
    X = X.round()
    models = [ImageClassifier(max_iter=1, random_state=0).fit(X.astype(dtype), y) for dtype in (float, np.float32, np.uint8)]
    assert all(np.array_equal(clf.predict_proba(X), models[0].predict_proba(X.astype(np.int16))) for clf in models)


def test_copies_and_threads(colours):
    X, y = colours
    fits = [ImageClassifier(max_iter=2, random_state=0, n_threads=n).fit(X, y) for n in (1, 2)]
    assert np.array_equal(fits[0].network_.params, fits[1].network_.params)
    assert np.array_equal(pickle.loads(pickle.dumps(fits[0])).predict_proba(X), fits[0].predict_proba(X))
    assert clone(fits[0]).get_params() == fits[0].get_params()


@pytest.mark.parametrize(("side", "pools"), [(8, 2), (28, 2), (36, 3), (64, 3)])
def test_images_are_pooled_until_they_are_small(side, pools):
    X, y = np.random.default_rng(0).random((4, side, side)), [0, 1, 0, 1]
    clf = ImageClassifier(max_iter=1, random_state=0).fit(X, y)
    assert sum(isinstance(layer, MaxPool) for layer in clf.network_.layers) == pools


def test_flat_images_have_their_channels_last(colours):
    X, y = colours
    flat, first = X.reshape(200, -1), X.transpose(0, 3, 1, 2)
    clf = ImageClassifier(max_iter=1, channels="first").fit(first, y)
    expected = r"2 channels as an array of shape \(n_samples, 2, 9, 12\), got flat rows of 216 numbers: reshape X"
    with pytest.raises(ValueError, match=expected):
        clf.predict(first.reshape(200, -1))
    with pytest.raises(ValueError, match=expected):
        ImageClassifier(channels="first", image_shape=(9, 12, 2)).fit(flat, y)
    grey = ImageClassifier(max_iter=1, channels="first", image_shape=(9, 24)).fit(flat, y)
    assert np.array_equal(grey.predict_proba(flat), grey.predict_proba(flat.reshape(200, 1, 9, 24)))


def test_wrong_images(colours):
    X, y = colours
    with pytest.raises(ValueError, match="must name the 216 numbers"):
        ImageClassifier(image_shape=(9, 9)).fit(X.reshape(200, -1), y)
    with pytest.raises(ValueError, match="at least 2 classes, got 1 class"):
        ImageClassifier().fit(X, np.zeros(200))
    clf = ImageClassifier(max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match=r"rows of shape \(12, 9, 2\), but ImageClassifier was fitted with \(9, 12, 2\)"):
        clf.predict(X.transpose(0, 2, 1, 3))


@pytest.mark.parametrize("shape", [(4, 4, 1, 9), (16,), (4.9, 4.9), (4, -4), (2, 2, 4.0), [4, "4"], 16 * [1]])
def test_wrong_image_shapes(shape, rng):
    with pytest.raises(ValueError, match=r"image_shape must be two or three positive integers .*, got [\[(]"):
        ImageClassifier(image_shape=shape).fit(rng.random((20, 16)), np.arange(20) % 2)
    ImageClassifier(image_shape=np.array([4, 4]), max_iter=1).fit(rng.random((20, 16)), np.arange(20) % 2)


def test_no_images(rng):
    X, y = rng.random((20, 4, 4)), np.arange(20) % 2
    for model in (ImageClassifier(max_iter=1), fn.NetworkClassifier([fn.Flatten()], solver="lbfgs")):
        model.fit(X, y)
        for use in (lambda X, model=model: model.fit(X, y[:0]), model.predict):
            with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\) .* is required by"):
                use(X[:0])


def test_images_of_unequal_size(rng):
    X, y = rng.random((20, 4, 4)), np.arange(20) % 2
    clf = ImageClassifier(max_iter=1).fit(X, y)
    message = r"X has images of shape \(4, 4\) and of \(3, 4\): ImageClassifier takes images of one size, resize or crop them"
    for use in (clf.predict, lambda X: clf.fit(X, y)):
        with pytest.raises(ValueError, match=message):
            use([*X[:-1], X[-1, :3]])
    model = fn.NetworkClassifier([fn.Flatten()], solver="lbfgs").fit(X, y)
    with pytest.raises(
        ValueError, match=r"X has rows of unequal length, but NetworkClassifier was fitted with rows of .*\(4, 4\)"
    ):
        model.predict([*X[:-1], X[-1, :3]])


def test_dates_are_no_pixels(rng):
    y = np.arange(20) % 2
    clf = ImageClassifier(max_iter=1).fit(rng.random((20, 16)), y)
    for use in (clf.predict, lambda X: clf.fit(X, y)):
        with pytest.raises(TypeError, match=r"X must hold numbers, got datetime64\[D\]"):
            use(np.zeros((20, 4, 4), "M8[D]"))


def test_augment(rng):
    """A parameter like others, which reaches the training; images are shifted by default."""
    X, y = rng.random((60, 6, 6)), np.arange(60) % 2
    clf = ImageClassifier(max_iter=2, augment=[augment.Shift(1), augment.Jitter(0.1)], random_state=0)
    changed, again, plain, default, shifted = (
        clone(clf).set_params(**change).fit(X, y).predict_proba(X)
        for change in ({}, {}, {"augment": None}, {"augment": "auto"}, {"augment": augment.Shift(0)})
    )
    np.testing.assert_array_equal(changed, again)
    np.testing.assert_array_equal(default, shifted)  # six pixels are too few to move by one
    assert not np.array_equal(changed, plain)


@pytest.mark.parametrize(
    ("shape", "most"), [((8, 8, 1), (1, 1)), ((28, 28, 1), (2, 2)), ((32, 64, 3), (2, 5)), ((1, 30, 1), (0, 2))]
)
def test_images_are_shifted_in_proportion_to_their_size(shape, most):
    clf = ImageClassifier()
    clf.input_shape_ = shape
    assert clf._augmentations() == augment.Shift(most)


@pytest.mark.parametrize(("n_rows", "epochs"), [(200, 100), (4000, 25), (60_000, 10)])
def test_small_data_are_seen_more_often(n_rows, epochs):
    assert ImageClassifier()._epochs(n_rows) == epochs
    assert ImageClassifier(max_iter=3)._epochs(n_rows) == 3
