"""Random changes of rows while they are trained on, read from the weights of a network that was trained on one."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_same_bits_by_any_team
from scipy import ndimage, sparse

import fastnet as fn
from fastnet import augment, checkpoint


def seen(row, change, *, dtype="float64", random_state=0):
    """The row that a network was trained on: with all parameters 0 and slope 1, an update makes the weights its negative."""
    net = fn.Network([fn.Flatten(), fn.Dense(1, "identity")], input_shape=row.shape, dtype=dtype, random_state=0)
    net.params[:] = 0
    net.fit(row[None], [-1.0], optimizer=fn.SGD(1.0), epochs=1, augment=change, random_state=random_state)
    return -net.weights[0].reshape(row.shape)


def test_shift_moves_whole_images_and_fills_with_zeros(rng):
    image = rng.standard_normal((5, 6, 2))
    moved = set()
    for seed in range(40):
        got = seen(image, augment.Shift((1, 2)), random_state=seed)
        padded = np.pad(image, ((1, 1), (2, 2), (0, 0)))
        matches = [(i, j) for i in range(3) for j in range(5) if np.array_equal(got, padded[i : i + 5, j : j + 6])]
        assert len(matches) == 1
        moved.update(matches)
    assert len(moved) > 9


def test_shift_of_series(rng):
    row = rng.standard_normal((9, 2))
    padded = np.pad(row, ((3, 3), (0, 0)))
    got = [seen(row, augment.Shift(3), random_state=seed) for seed in range(30)]
    places = {next(i for i in range(7) if np.array_equal(a, padded[i : i + 9])) for a in got}
    assert len(places) > 4


def test_crops_of_series_are_windows_at_full_length():
    """Seen by straight lines, whose windows are straight lines: of a slope that is the window's share, and from its place on."""
    line = np.arange(51.0)
    row = np.stack([line, 7 - 2 * line], axis=1)
    got = [seen(row, augment.Crop(0.6), random_state=seed) for seed in range(60)]
    shares, places = np.array([a[1, 0] - a[0, 0] for a in got]), np.array([a[0, 0] for a in got])
    for a, share, place in zip(got, shares, places, strict=True):
        np.testing.assert_allclose(a[:, 0], place + share * line, atol=1e-12)
        np.testing.assert_allclose(a[:, 1], 7 - 2 * a[:, 0], atol=1e-12)
    ends = places + 50 * shares
    assert places.min() >= 0 and ends.max() <= 50
    assert 0.6 <= shares.min() < 0.65 and 0.95 < shares.max() <= 1
    assert abs(np.mean(places / (50 - 50 * shares)) - 0.5) < 0.15


def test_crops_of_images_keep_proportions(rng):
    """Pixels as scipy interpolates them; the same share of height and width, each from a place of its own."""
    image = rng.standard_normal((6, 9, 2))
    lines, columns = np.meshgrid(np.arange(6.0), np.arange(9.0), indexing="ij")
    for seed in range(8):
        y, x = np.moveaxis(seen(np.stack([lines, columns], axis=2), augment.Crop(0.5), random_state=seed), 2, 0)
        assert y[1, 0] - y[0, 0] == pytest.approx(x[0, 1] - x[0, 0], abs=1e-12)
        expected = [ndimage.map_coordinates(image[:, :, c], [y, x], order=1, mode="nearest") for c in range(2)]
        got = seen(image, augment.Crop(0.5), random_state=seed)
        np.testing.assert_allclose(got, np.stack(expected, axis=2), atol=1e-12)


def test_a_crop_of_everything_is_the_row_itself(rng):
    image = rng.standard_normal((5, 4, 3))
    np.testing.assert_array_equal(seen(image, augment.Crop(1.0)), image)


def test_flip(rng):
    image = rng.standard_normal((3, 4, 2))
    np.testing.assert_array_equal(seen(image, augment.Flip(1.0)), image[:, ::-1])
    np.testing.assert_array_equal(seen(image, augment.Flip(0.0)), image)
    both = [np.array_equal(seen(image, augment.Flip(), random_state=seed), image) for seed in range(40)]
    assert 8 < sum(both) < 32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_jitter_is_normal(dtype):
    """Of flat rows too, of an odd number of numbers; each of its own."""
    X = np.full(5001, 3, dtype)
    noise = seen(X, augment.Jitter(0.5), dtype=dtype) - 3
    assert abs(noise.mean()) < 0.03
    assert noise.std() == pytest.approx(0.5, rel=0.04)
    assert np.mean(np.abs(noise) < 0.5) == pytest.approx(0.683, abs=0.03)
    assert np.unique(noise).size > 4900
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 0.05


def test_several_changes(rng):
    image = rng.standard_normal((3, 4, 1))
    got = seen(image, [augment.Flip(1.0), augment.Shift(0), augment.Jitter(1e-9)])
    np.testing.assert_allclose(got, image[:, ::-1], atol=1e-7)
    assert not np.array_equal(got, image[:, ::-1])


def build():
    return fn.Network([fn.Conv2d(3, 3), fn.Flatten(), fn.Dense(2, "softmax")], input_shape=(6, 6, 1), random_state=0)


@pytest.mark.parametrize("sampling", ["shuffle", "sequential"])
def test_the_same_seed_is_the_same_for_any_number_of_threads_and_after_a_checkpoint(sampling, rng, tmp_path):
    X, y = rng.standard_normal((90, 6, 6, 1)).astype(np.float32), rng.integers(0, 2, 90)
    given = X.copy()
    changes = [augment.Shift(1), augment.Crop(0.7), augment.Flip(), augment.Jitter(0.2)]
    options = {"augment": changes, "batch_size": 40, "random_state": 0, "sampling": sampling}
    net, begun, resumed, plain = (build() for _ in range(4))
    net.fit(X, y, epochs=4, **options)

    def compute():
        other = build()
        other.fit(X, y, epochs=4, **options)
        return (other.params,)

    assert_same_bits_by_any_team(compute)
    begun.fit(X, y, epochs=2, callbacks=[fn.Checkpoint(tmp_path)], **options)
    resumed.fit(X, y, epochs=4, callbacks=[fn.Checkpoint(tmp_path)], resume_from=checkpoint.latest(tmp_path), **options)
    np.testing.assert_array_equal(resumed.params, net.params)
    np.testing.assert_array_equal(X, given)
    plain.fit(X, y, epochs=4, **options | {"augment": None})
    assert not np.array_equal(plain.params, net.params)
    with pytest.raises(ValueError, match="cannot resume"):
        build().fit(
            X, y, resume_from=checkpoint.latest(tmp_path), callbacks=[fn.Checkpoint(tmp_path)], **options | {"augment": None}
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (augment.Shift(1), r"Shift moves positions, and rows of shape \(4,\) have none"),
        (augment.Flip(), "Flip moves positions"),
        (augment.Crop(), "Crop moves positions"),
        ([augment.Jitter(), augment.Jitter(0.2)], "two of Jitter"),
    ],
)
def test_what_cannot_be(change, message, rng):
    net = fn.Network([fn.Dense(1)], 4)
    with pytest.raises(ValueError, match=message):
        net.fit(np.ones((3, 4)), np.ones(3), augment=change)


@pytest.mark.parametrize("change", [augment.Shift(1), augment.Crop(), augment.Flip()])
def test_classes_of_positions_do_not_move_with_them(change, rng):
    net = fn.Network([fn.Conv2d(2, 3, padding="same"), fn.Dense(2, "softmax")], input_shape=(4, 3, 1), random_state=0)
    X, y = rng.normal(size=(5, 4, 3, 1)), rng.integers(0, 2, (5, 4, 3))
    net.fit(X, y, epochs=1, augment=augment.Jitter())
    with pytest.raises(ValueError, match=f"{type(change).__name__} moves positions, and y has a class number for each"):
        net.fit(X, y, epochs=1, augment=[change, augment.Jitter()])


def test_wrong_things(rng):
    net, X = fn.Network([fn.Dense(1)], 4), np.ones((3, 4))
    with pytest.raises(TypeError, match="must be one of fastnet.augment's"):
        net.fit(X, np.ones(3), augment="flip")
    with pytest.raises(ValueError, match="dense rows, got a sparse matrix"):
        net.fit(sparse.csr_matrix(X), np.ones(3), augment=augment.Jitter())
    with pytest.raises(ValueError, match="cannot use augment"):
        net.fit(X, np.ones(3), optimizer="lbfgs", augment=augment.Jitter())
    with pytest.raises(ValueError, match="most must be"):
        augment.Shift(-1)
    with pytest.raises(ValueError, match="smallest must be"):
        augment.Crop(0.0)
