"""Data in every accepted form gives the same result and is not modified; other data fails before anything changes."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import RTOL, distance, network

import fastnet as fn
from fastnet import _checks

M, N = 24, 4


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    return rng.integers(-4, 5, (M, N)).astype(np.float64), rng.integers(0, 3, M)


def classifier(dtype="float64"):
    return network([fn.Dense(6, "tanh"), fn.Dense(3, "softmax")], N, dtype)


def read_only(X, tmp_path):
    X = X.copy()
    X.flags.writeable = False
    return X


def memory_map(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


FORMS = {
    "list": lambda X, _: X.tolist(),
    "tuple of arrays": lambda X, _: tuple(X),
    "Fortran order": lambda X, _: np.asfortranarray(X),
    "every second row": lambda X, _: np.repeat(X, 2, axis=0)[::2],
    "every second column": lambda X, _: np.repeat(X, 2, axis=1)[:, ::2],
    "rows backwards": lambda X, _: X[::-1].copy()[::-1],
    "read-only": read_only,
    "memory map": memory_map,
    "other byte order": lambda X, _: X.astype(X.dtype.newbyteorder("S")),
    "unaligned": lambda X, _: np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(X.dtype).reshape(X.shape),
    **{f"as {t}": lambda X, _, t=t: X.astype(t) for t in ("float16", "float32", "float64", "longdouble", "int8", "int64")},
    **{
        f"sparse {f}": lambda X, _, f=f: pytest.importorskip("scipy.sparse").coo_array(X).asformat(f)
        for f in ("csr", "csc", "coo")
    },
    "sparse matrix": lambda X, _: pytest.importorskip("scipy.sparse").csr_matrix(X),
}


def as_bytes(X):
    return X.tobytes() if isinstance(X, np.ndarray) else repr(X)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same(form, data, dtype, tmp_path):
    X, y = data
    given = FORMS[form](X, tmp_path)
    before = as_bytes(given)
    plain, net = classifier(dtype), classifier(dtype)
    assert distance(net.forward(given), plain.forward(X)) < RTOL[dtype]
    assert np.array_equal(net.predict(given), plain.predict(X))
    assert distance(net.activations(given)[1], plain.activations(X)[1]) < RTOL[dtype]
    assert net.loss(given, y) == pytest.approx(plain.loss(X, y), rel=RTOL[dtype])
    for model, rows in ((plain, X), (net, given)):
        model.fit(rows, y, epochs=3, batch_size=7, random_state=0, validation_data=(rows, y))
    assert distance(net.params, plain.params) < 10 * RTOL[dtype]
    assert as_bytes(given) == before


@pytest.mark.parametrize("form", ["list", "int8", "uint64", "float32", "float64", "column", "read-only", "strided"])
def test_every_form_of_class_numbers(form, data):
    X, y = data
    frozen = y.copy()
    frozen.flags.writeable = False
    given = {"list": y.tolist(), "column": y[:, None], "read-only": frozen, "strided": np.repeat(y, 2)[::2]}
    given = given[form] if form in given else y.astype(form)
    assert classifier().loss(X, given) == classifier().loss(X, y)


def test_bools_are_numbers(data):
    X, y = data
    net = network([fn.Dense(1, "sigmoid")], N)
    assert np.array_equal(net.forward(X > 0), net.forward((X > 0) * 1.0))
    assert net.loss(X, y > 0) == net.loss(X, (y > 0) * 1.0) == net.loss(X, ((y > 0) * 1.0)[:, None])


def test_data_in_the_right_form_is_not_copied(dtype):
    net = classifier(dtype)
    X = np.ones((5, N), dtype)
    assert net.activations(X)[0] is X
    assert not np.shares_memory(net.forward(X), X)


def test_one_row_one_feature_no_rows(dtype):
    net = network([fn.Dense(3, "relu"), fn.Dense(1, "identity")], 1, dtype)
    assert net.forward([2.0]).shape == (1,)
    assert net.forward([[2.0]]).shape == (1, 1)
    assert net.forward(np.empty((0, 1))).shape == (0, 1)
    assert net.predict(np.empty((0, 1))).shape == (0,)
    assert [A.shape for A in net.activations(np.empty((0, 1)))] == [(0, 1), (0, 3), (0, 1)]
    history = net.fit([[2.0]], [1.0], epochs=3)
    assert history.n_rows == [1, 1, 1]


def test_a_million_rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1_000_000, 2), dtype=np.float32)
    net = fn.Network([fn.Dense(2, "softmax")], 2, random_state=0)
    history = net.fit(X, (X[:, 0] > X[:, 1]).astype(np.int8), batch_size=5000, epochs=1, optimizer=fn.Adam(0.05), random_state=0)
    assert history.n_rows == [1_000_000]
    assert (net.predict(X) == (X[:, 0] > X[:, 1])).mean() > 0.99


def nan_at(X, value):
    X = X.copy()
    X[5, 2] = value
    return X


BAD_X = {
    "too few columns": (lambda X: X[:, :3], ValueError, "X has 3 features, the network was built with n_inputs=4"),
    "vector": (lambda X: X[:, 0], ValueError, r"X must have shape \(rows, 4\), got \(24,\); use X.reshape"),
    "three dimensions": (lambda X: X[None], ValueError, r"X must have shape \(rows, 4\), got \(1, 24, 4\)"),
    "number": (lambda X: 3.0, ValueError, r"X must have shape \(rows, 4\), got \(\)"),
    "nan": (lambda X: nan_at(X, np.nan), ValueError, r"X holds nan at index \[5, 2\]"),
    "inf": (lambda X: nan_at(X, np.inf), ValueError, r"X holds inf at index \[5, 2\]"),
    "both infinities": (lambda X: nan_at(nan_at(X, np.inf)[::-1], -np.inf)[::-1], ValueError, r"X holds -?inf at index"),
    "complex": (lambda X: X + 1j, TypeError, "X must hold real numbers, got dtype complex128"),
    "text": (lambda X: X.astype(str), TypeError, "X must hold real numbers, got dtype <U"),
    "objects": (lambda X: X.astype(object), TypeError, "X must hold real numbers, got dtype object"),
    "None": (lambda X: None, TypeError, "X must hold real numbers, got dtype object"),
    "ragged": (lambda X: [[1.0, 2.0], [3.0]], ValueError, "X is no rectangular array of numbers"),
    "masked": (lambda X: np.ma.masked_less(X, X.mean()), ValueError, r"X is a masked array with \d+ masked entries, which are"),
    "no rows": (lambda X: X[:0], ValueError, "X has no rows: at least one datapoint is needed"),
    "sparse nan": (lambda X: pytest.importorskip("scipy.sparse").csr_array(nan_at(X, np.nan)), ValueError, "sparse X holds nan"),
    "sparse columns": (lambda X: pytest.importorskip("scipy.sparse").csr_array(X[:, :3]), ValueError, "X has 3 features"),
}

BAD_Y = {
    "too short": (lambda y: y[:-1], ValueError, r"y must have one entry for each of the 24 rows of X, got shape \(23,\)"),
    "class too large": (lambda y: y + 1, ValueError, "Class numbers must be integers from 0 to 2, one for each output; y"),
    "negative class": (lambda y: y - 1, ValueError, "Class numbers must be integers from 0 to 2"),
    "no integers": (lambda y: y + 0.5, ValueError, "Class numbers must be integers from 0 to 2"),
    "nan": (lambda y: np.where(y == 1, np.nan, y), ValueError, "y holds nan at index"),
    "names": (lambda y: y.astype(str), TypeError, "y must hold real numbers, got dtype <U"),
    "no distribution": (lambda y: np.ones((M, 3)), ValueError, "rows of probabilities that sum to 1"),
    "negative share": (lambda y: np.tile([1.5, -0.5, 0.0], (M, 1)), ValueError, "rows of probabilities that sum to 1"),
    "masked": (lambda y: np.ma.masked_equal(y, 1), ValueError, "y is a masked array with .* fill them first, with y.filled"),
    "columns": (lambda y: np.ones((M, 2)) / 2, ValueError, r"y must have 3 columns for 3 outputs, got shape \(24, 2\)"),
    "three dimensions": (lambda y: y[:, None, None], ValueError, "y must have one entry for each of the 24 rows"),
    "huge integer": (lambda y: y.astype(np.int64) + 2**32, ValueError, "Class numbers must be integers from 0 to 2"),
}

BAD_WEIGHT = {
    "too short": (lambda w: w[:-1], ValueError, r"sample_weight must have shape \(24,\)"),
    "column": (lambda w: w[:, None], ValueError, r"one weight for each row of X, got \(24, 1\)"),
    "negative": (lambda w: w - 2, ValueError, "sample_weight must not be negative, got -1"),
    "all zero": (lambda w: 0 * w, ValueError, "sample_weight must not be zero everywhere"),
    "nan": (lambda w: np.nan * w, ValueError, "sample_weight holds nan"),
    "text": (lambda w: w.astype(str), TypeError, "sample_weight must hold real numbers"),
}


def assert_refused(error, message, X, y, w):
    net = classifier()
    before = net.params.copy()
    for call in (net.fit, net.loss, net.loss_and_grad):
        with pytest.raises(error, match=message):
            call(X, y, sample_weight=w)
    assert np.array_equal(net.params, before)


@pytest.mark.parametrize("case", BAD_X)
def test_bad_features(case, data):
    change, error, message = BAD_X[case]
    assert_refused(error, message, change(data[0]), data[1], None)
    net = classifier()
    if case == "no rows":
        return
    if case not in ("nan", "inf", "both infinities", "sparse nan", "vector"):
        with pytest.raises(error, match=message):
            net.forward(change(data[0]))
    with pytest.raises(error):
        net.predict(change(data[0]))


@pytest.mark.parametrize("case", BAD_Y)
def test_bad_targets(case, data):
    change, error, message = BAD_Y[case]
    assert_refused(error, message, data[0], change(data[1]), None)


@pytest.mark.parametrize("case", BAD_WEIGHT)
def test_bad_weights(case, data):
    change, error, message = BAD_WEIGHT[case]
    assert_refused(error, message, *data, change(np.ones(M)))


@pytest.mark.parametrize(
    ("activation", "y", "message"),
    [
        ("sigmoid", 2.0, "Targets of binary_cross_entropy must be 0 or 1"),
        ("sigmoid", -0.5, "Targets of binary_cross_entropy must be 0 or 1"),
        ("exponential", -1.0, "Targets of poisson must be at least 0, got -1"),
        ("identity", np.inf, "y holds inf"),
    ],
)
def test_targets_out_of_range(activation, y, message):
    net = network([fn.Dense(1, activation)], N)
    before = net.params.copy()
    with pytest.raises(ValueError, match=message):
        net.fit(np.ones((2, N)), [0.0, y])
    assert np.array_equal(net.params, before)


def test_values_too_large_for_float32_are_found():
    net = network([fn.Dense(1, "identity")], N, "float32")
    X = np.ones((3, N))
    X[1, 2] = 1e39
    with pytest.raises(ValueError, match=r"X holds inf at index \[1, 2\] \(as float32\)"):
        net.fit(X, [0, 0, 0])
    with pytest.raises(ValueError, match=r"y holds inf at index \[2, 0\] \(as float32\)"):
        net.fit(np.ones((3, N)), [0, 0, 1e39])


def test_forward_passes_nan_on(dtype):
    net = classifier(dtype)
    X = np.ones((2, N), dtype)
    X[1, 0] = np.nan
    out = net.forward(X)
    assert np.isfinite(out[0]).all()
    assert np.isnan(out[1]).all()
    assert np.isnan(net.forward(X[1])).all()


@pytest.mark.parametrize("x", [np.ones(3), np.ones(5), [1.0], []])
def test_a_datapoint_of_the_wrong_length(x):
    with pytest.raises(ValueError, match=r"One datapoint must have shape \(4,\), got"):
        classifier().forward(x)


BAD_OPTIONS = {
    "batch_size=0": (ValueError, {"batch_size": 0}, "batch_size must be at least 1, got 0"),
    "batch_size=2.5": (TypeError, {"batch_size": 2.5}, "batch_size must be an integer, got 2.5"),
    "epochs=0": (ValueError, {"epochs": 0}, "epochs must be at least 1, got 0"),
    "epochs=True": (TypeError, {"epochs": True}, "epochs must be an integer, got the bool True"),
    "iterations=-1": (ValueError, {"iterations": -1}, "iterations must be at least 1, got -1"),
    "both": (ValueError, {"iterations": 1, "epochs": 1}, "Give either epochs or iterations, got epochs=1 and iterations=1"),
    "sampling": (ValueError, {"sampling": "bootstrap"}, "sampling must be one of shuffle, random, sequential, or a callable"),
    "l2": (ValueError, {"l2": -1.0}, "l2 must be finite and at least 0, got -1.0"),
    "weight_decay": (ValueError, {"weight_decay": np.inf}, "weight_decay must be finite and at least 0, got inf"),
    "max_grad_norm": (ValueError, {"max_grad_norm": 0.0}, "max_grad_norm must be finite and above 0, got 0.0"),
    "n_threads": (ValueError, {"n_threads": 0}, "n_threads must be at least 1, got 0"),
    "loss": (ValueError, {"loss": "log_loss"}, "Unknown loss 'log_loss'; known are: absolute_error, binary_cross_entropy"),
    "optimizer": (ValueError, {"optimizer": "sgdm"}, "Unknown optimizer 'sgdm'"),
    "random_state": (ValueError, {"random_state": -1}, "random_state must be None, a non-negative int"),
    "validation": (
        ValueError,
        {"validation_data": np.ones((3, N))},
        r"validation_data must be \(X, y\) or \(X, y, sample_weight\)",
    ),
    "validation X": (ValueError, {"validation_data": (np.ones((3, 2)), [0, 1, 2])}, "validation_data: X has 2 features"),
    "sampling rows": (ValueError, {"sampling": lambda session: [0, M]}, f"row numbers from 0 to {M - 1}, got 0 to {M}"),
    "sampling floats": (ValueError, {"sampling": lambda session: [0.5]}, "sampling must return a vector of row numbers"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options(case, data):
    error, options, message = BAD_OPTIONS[case]
    net = classifier()
    before = net.params.copy()
    with pytest.raises(error, match=message):
        net.fit(*data, **options)
    assert np.array_equal(net.params, before)


@pytest.mark.parametrize("dtype", ["float16", "int32", "no dtype", b"01", "f8,,", "(2,", 3, [("x", "f8")]], ids=str)
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got "):
        fn.Network([fn.Dense(1)], n_inputs=2, dtype=dtype)


def test_finiteness_is_found_out_without_a_copy():
    import tracemalloc

    X = np.ones((2000, 1000), np.float32)
    X[1999, 999] = np.nan
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"X holds nan at index \[1999, 999\]"):
        _checks.assert_finite(X, "X")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes / 20


def test_sums_that_overflow_are_not_mistaken_for_infinities():
    _checks.assert_finite(np.full((100, 100), 3e38, np.float32), "X")


def test_sparse_with_duplicates_and_unsorted_indices_is_left_alone():
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.csr_array((np.array([1.0, 2.0, 3.0]), np.array([2, 0, 2]), np.array([0, 3, 3])), shape=(2, N))
    indices = X.indices.copy()
    net = classifier()
    assert distance(net.forward(X), net.forward([[2.0, 0, 4, 0], [0, 0, 0, 0]])) < 1e-14
    assert np.array_equal(X.indices, indices)


class TestFrames:
    """Columns of bools and numbers together, nullable ones too."""

    @pytest.mark.parametrize("kind", ["pandas", "nullable", "polars"])
    def test_give_the_same_as_their_numbers(self, kind):
        columns = {"a": [1.5, 2.5, -1.0], "b": [True, False, True], "c": [1, 2, 3]}
        if kind == "polars":
            frame = pytest.importorskip("polars").DataFrame(columns)
        else:
            frame = pytest.importorskip("pandas").DataFrame(columns)
            frame = frame.astype({"a": "Float64", "b": "boolean", "c": "Int64"}) if kind == "nullable" else frame
        numbers = np.array(list(columns.values()), dtype=np.float64).T
        net = fn.Network([fn.Dense(1, "identity")], 3, dtype="float64", random_state=0)
        assert np.array_equal(net.forward(frame), net.forward(numbers))
        target = frame["c"]
        other = fn.Network([fn.Dense(1, "identity")], 3, dtype="float64", random_state=0)
        net.fit(frame, target, epochs=2, random_state=0)
        other.fit(numbers, np.array([1, 2, 3]), epochs=2, random_state=0)
        assert np.array_equal(net.params, other.params)

    def test_missing_values_are_found(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"a": pandas.array([1, None, 3], "Int64"), "b": [True, False, True]})
        with pytest.raises(ValueError, match="X holds nan"):
            fn.Network([fn.Dense(1, "identity")], 2).fit(frame, [1, 2, 3], epochs=1)

    def test_text_is_refused(self):
        pandas = pytest.importorskip("pandas")
        with pytest.raises(TypeError, match="X must hold real numbers"):
            fn.Network([fn.Dense(1, "identity")], 2).forward(pandas.DataFrame({"a": ["1", "2"], "b": [1, 2]}))

    @pytest.mark.parametrize("where", ["X", "y"])
    def test_dates_are_refused(self, where):
        days = np.datetime64("2024-01-01") + np.arange(3)
        data = {"X": np.ones((3, 1)), "y": np.ones(3)} | {where: days.reshape(-1, 1) if where == "X" else days}
        with pytest.raises(TypeError, match=f"{where} must hold numbers, got datetime64"):
            fn.Network([fn.Dense(1, "identity")], 1).fit(**data, epochs=1)


@pytest.mark.parametrize("scale", [1e-60, 1e60])
def test_weights_beyond_float32_keep_their_ratios(scale):
    weight = np.array([1.0, 2.0, 4.0])
    losses = [
        fn.Network([fn.Dense(1, "identity")], 1, random_state=0).fit(np.eye(3)[:, :1], [1, 2, 3], epochs=3, sample_weight=w).loss
        for w in (weight, weight * scale)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
