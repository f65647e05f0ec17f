"""Kernels of the compiled core compared with NumPy, in both dtypes and at every level of vector instructions available."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import reference
from helpers import ACTIVATION_OBJECTS, label
from scipy.special import expit

from fastnet import _core

LEVELS = _core.supported_levels()

#: Largest error in units in the last place, as the docstrings of the kernels say.
ULP = {
    "exp": {"float32": 1.5, "float64": 2.0},
    "tanh": {"float32": 3.0, "float64": 3.0},
    "sigmoid": {"float32": 3.0, "float64": 3.0},
    "log": {"float32": 2.0, "float64": 2.0},
}
FUNCTIONS = {"exp": np.exp, "tanh": np.tanh, "sigmoid": expit, "log": np.log}


@pytest.fixture(params=LEVELS)
def core(request):
    """The core compiled for each level."""
    return importlib.import_module(f"fastnet._core.{request.param}")


def apply(core, name, x):
    out = np.empty_like(x)
    getattr(core, name)(x, out)
    return out


def errors_in_ulp(got, exact):
    """Distance of got from exact, given in a wider type, in units of the last place of got's type at the exact value."""
    dtype = got.dtype
    exact = np.asarray(exact)
    with np.errstate(over="ignore", invalid="ignore"):
        unit = np.spacing(np.abs(exact.astype(dtype))).astype(exact.dtype)
    finite = np.isfinite(exact.astype(dtype))
    assert np.array_equal(got[~finite], exact[~finite].astype(dtype), equal_nan=True)
    return np.abs(got[finite].astype(exact.dtype) - exact[finite]) / unit[finite]


def all_float32(block, n_blocks):
    """Every `n_blocks`-th bit pattern of float32 from number `block`, without the NaNs."""
    x = np.arange(block, 2**32, n_blocks, dtype=np.uint64).astype(np.uint32).view(np.float32)
    return x[~np.isnan(x)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_bound_on_a_sample_of_float32(core, name):
    check_float32(core, name, all_float32(123, 9973))


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_bound_on_all_float32(name):
    for block in range(256):
        check_float32(_core.core, name, all_float32(block, 256))


def check_float32(core, name, x):
    if name == "log":
        x = x[x >= 0]
    with np.errstate(over="ignore", divide="ignore", under="ignore"):
        exact = FUNCTIONS[name](x.astype(np.float64))
        assert errors_in_ulp(apply(core, name, x), exact).max() <= ULP[name]["float32"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_bound_on_a_sample_of_float64(core, name, rng):
    x = np.concatenate([rng.uniform(-750, 750, 200_000), rng.uniform(-2, 2, 200_000), rng.standard_normal(100_000) * 1e-5])
    if name == "log":
        x = np.concatenate([np.abs(x), 10.0 ** rng.uniform(-307, 308, 100_000)])
    if np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        pytest.skip("this platform has no wider floats to compare with")
    wide = x.astype(np.longdouble)
    with np.errstate(over="ignore", divide="ignore", under="ignore"):
        exact = 1 / (1 + np.exp(-wide)) if name == "sigmoid" else FUNCTIONS[name](wide)
        assert errors_in_ulp(apply(core, name, x), exact).max() <= ULP[name]["float64"]


def test_special_values(core, dtype):
    inf, nan = np.inf, np.nan
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([0.0, -0.0, inf, -inf, nan, tiny, -tiny], dtype)
    assert np.array_equal(apply(core, "exp", x), np.array([1, 1, inf, 0, nan, 1, 1], dtype), equal_nan=True)
    assert np.array_equal(apply(core, "tanh", x), np.array([0, 0, 1, -1, nan, tiny, -tiny], dtype), equal_nan=True)
    assert np.array_equal(apply(core, "sigmoid", x), np.array([0.5, 0.5, 1, 0, nan, 0.5, 0.5], dtype), equal_nan=True)
    logs = apply(core, "log", np.array([1, 0, inf, -1, nan, tiny], dtype))
    assert np.array_equal(logs[:5], np.array([0, -inf, inf, nan, nan], dtype), equal_nan=True)
    assert logs[5] == pytest.approx(float(np.log(np.longdouble(tiny))), rel=1e-6)


def test_functions_do_not_depend_on_the_place_in_the_vector(core, dtype, rng):
    x = rng.standard_normal(67).astype(dtype)
    for name in ("exp", "tanh", "sigmoid"):
        whole = apply(core, name, x)
        for start in range(1, 9):
            assert np.array_equal(apply(core, name, x[start:].copy()), whole[start:])


@pytest.mark.parametrize("activation", ACTIVATION_OBJECTS, ids=label)
def test_activation(core, activation, dtype, rng):
    z = np.concatenate([rng.standard_normal(301) * 3, [0.0, -0.0, 20, -20]]).astype(dtype)
    got = np.empty_like(z)
    core.apply_activation(activation.code, activation.parameter, z, got)
    exact = reference.activate((activation.name, activation.parameter), z.astype(np.float64)[None])[0]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(got, exact, rtol=32 * eps, atol=4 * eps)


@pytest.mark.parametrize("activation", [a for a in ACTIVATION_OBJECTS if a.derivable], ids=label)
def test_derivative(core, activation, dtype, rng):
    z = np.concatenate([rng.standard_normal(301) * 3, [20, -20]]).astype(dtype)
    got = np.empty_like(z)
    core.apply_derivative(activation.code, activation.parameter, z, got)
    exact = reference.through((activation.name, activation.parameter), z.astype(np.float64)[None], 1.0)[0]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(got, exact, rtol=32 * eps, atol=16 * eps)


@pytest.mark.parametrize("activation", [a for a in ACTIVATION_OBJECTS if a.name != "softmax"], ids=label)
def test_activations_of_nan_and_infinity(core, activation, dtype):
    for z, limit in ((np.nan, np.nan), (np.inf, None)):
        x = np.array([z], dtype)
        got = np.empty_like(x)
        core.apply_activation(activation.code, activation.parameter, x, got)
        expected = activation(x) if limit is None else x
        assert np.array_equal(got, expected, equal_nan=True)


def check_product(core, rng, dtype, m, k, n, transpose_a, transpose_b, **options):
    """C = op(A) op(B), or that added to C, against NumPy in float64."""
    A = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(dtype)
    B = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(dtype)
    exact = (A.T if transpose_a else A).astype(np.float64) @ (B.T if transpose_b else B).astype(np.float64)
    C = np.full((m, n), np.nan, dtype)
    if options.get("accumulate"):
        C = rng.standard_normal((m, n)).astype(dtype)
        exact += C
    try:
        core.product(A, B, C, transpose_a, transpose_b, **options)
    except NotImplementedError:
        pytest.skip("no product of its own in this build")
    np.testing.assert_allclose(C, exact, rtol=0, atol=16 * np.finfo(dtype).eps * k, err_msg=f"{m} x {k} x {n}")


@pytest.mark.parametrize("blas", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_product(core, dtype, rng, transpose_a, transpose_b, blas):
    sizes = [1, 2, 3, 5, 7, 8, 16, 17, 33, 64, 100]
    for m, k, n in rng.choice(sizes, (40, 3)):
        check_product(core, rng, dtype, m, k, n, transpose_a, transpose_b, blas=blas)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_own_product_of_every_number_of_columns(core, dtype, rng, transpose_a, transpose_b):
    """Panels, overlapping last vectors, fewer columns than a vector; one and two passes over k; from nothing and added to C."""
    for n in (*range(1, 72), 100, 130, 256):
        m, k = int(rng.choice([1, 2, 5, 6, 7, 11, 13, 24, 50])), int(rng.choice([1, 3, 4, 16, 18, 37, 256, 300]))
        for accumulate in (False, True):
            check_product(core, rng, dtype, m, k, n, transpose_a, transpose_b, accumulate=accumulate, blas=False)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_own_product_of_every_depth(core, dtype, rng, transpose_a, transpose_b):
    """Steps of the sum that come four at a time, and the rest; sums of one or two steps."""
    for k in range(1, 15):
        for m, n in ((1, 16), (5, 33), (13, 40), (60, 64)):
            check_product(core, rng, dtype, m, k, n, transpose_a, transpose_b, accumulate=bool(k % 2 ^ m % 2), blas=False)


@pytest.mark.parametrize("transpose_a", [False, True])
def test_own_product_of_every_number_of_rows(core, dtype, rng, transpose_a):
    """Whole blocks, and last rows that are too few for one. A row has the same bits, however many others there are."""
    A, B = (rng.standard_normal(shape).astype(dtype) for shape in ((60, 37), (37, 20)))
    whole = None
    for m in (60, *range(1, 60)):
        check_product(core, rng, dtype, m, 37, 20, transpose_a, False, blas=False)
        some = np.zeros((m, 20), dtype)
        core.product(np.ascontiguousarray(A[:m].T) if transpose_a else A[:m], B, some, transpose_a, blas=False)
        whole = some if whole is None else whole
        assert np.array_equal(some, whole[:m])


def test_own_product_of_few_columns(core, dtype, rng):
    """Dot products with and without a last part of a vector, from nothing and added to C. A row has the same bits alone."""
    for n in range(1, 8):
        for k in (15, 16, 17, 23, 31, 32, 33, 63, 64, 255, 256, 257, 300):
            check_product(core, rng, dtype, 9, k, n, False, bool(n % 2), accumulate=bool(k % 2), blas=False)
            A, B = (rng.standard_normal(shape).astype(dtype) for shape in ((9, k), (k, n)))
            whole = np.zeros((9, n), dtype)
            core.product(A, B, whole, blas=False)
            for r in range(9):
                alone = np.zeros((1, n), dtype)
                core.product(A[r : r + 1], B, alone, blas=False)
                assert np.array_equal(alone, whole[r : r + 1])


@pytest.mark.parametrize("transpose_b", [False, True])
def test_panels_made_for_many_products(core, dtype, rng, transpose_b):
    """The bits of the product that makes its own: whole panels and narrower ones, one and two passes over k."""
    for n in (*range(1, 50), 100):
        m, k = int(rng.choice([1, 2, 5, 6, 8, 13, 32])), int(rng.choice([1, 3, 15, 16, 31, 32, 37, 256, 300]))
        A, B, C = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (n, k) if transpose_b else (k, n), (m, n)))
        for accumulate in (False, True):
            own, by_panels = C.copy(), C.copy()
            core.product(A, B, own, False, transpose_b, accumulate=accumulate, blas=False)
            core.product(A, B, by_panels, False, transpose_b, accumulate=accumulate, blas=False, panels=True)
            assert np.array_equal(by_panels, own), (m, n, k)


def test_own_product_of_small_squares(core, dtype, rng):
    """Products that may be made transposed, by products that may be too: rows and columns about a vector, or a piece more."""
    for m in (*range(2, 26), 129, 138, 140):
        for n in range(2, 26):
            check_product(core, rng, dtype, m, 20, n, True, False, accumulate=bool(m % 2), blas=False)


def test_infinity_is_counted_once(core, dtype):
    """The last part of a vector is read with elements before it, which must not come in as zero times infinity."""
    for n in range(1, 8):
        for k in (17, 33, 39, 70):
            A, C = np.ones((4, k), dtype), np.zeros((4, n), dtype)
            A[2, k - k % 16 - 1] = np.inf
            core.product(A, np.ones((k, n), dtype), C, blas=False)
            assert np.array_equal(C, np.where(np.arange(4) == 2, np.inf, k)[:, None] * np.ones(n))


@pytest.mark.parametrize("transpose_a, transpose_b", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("m, k, n", [(300, 270, 1024), (290, 1030, 272), (530, 512, 256), (61, 519, 1033)])
@pytest.mark.parametrize("accumulate", [False, True])
def test_own_product_of_large_matrices(core, dtype, rng, m, k, n, transpose_a, transpose_b, accumulate):
    """Several passes over the rows, copies of A, lines fetched ahead; few rows, and rests of all sizes."""
    check_product(core, rng, dtype, m, k, n, transpose_a, transpose_b, accumulate=accumulate, blas=False)


def test_long_sums_keep_their_digits(core, rng):
    """Gradients of very large batches: sums that are each begun with the one before were wrong by 2e-5."""
    A, B = (rng.uniform(0.5, 1.5, (100_000, n)).astype(np.float32) for n in (24, 64))
    C = np.zeros((24, 64), np.float32)
    core.product(A, B, C, True, False, blas=False)
    expected = A.T.astype(np.float64) @ B
    assert np.abs(C / expected - 1).max() < 4e-6


@pytest.mark.parametrize("transpose_b", [False, True])
def test_own_product_of_large_matrices_in_parts(core, dtype, rng, transpose_b):
    """Workers make some rows each, and long products some columns at a time: the bits are those of the whole."""
    m, k, n = 290, 600, 1040
    A, B = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (n, k) if transpose_b else (k, n)))
    whole = np.zeros((m, n), dtype)
    core.product(A, B, whole, False, transpose_b, blas=False)
    for rows, columns in ((slice(0, 70), slice(0, 512)), (slice(70, m), slice(512, n)), (slice(3, 14), slice(64, 128))):
        of_columns = B[columns] if transpose_b else np.ascontiguousarray(B[:, columns])
        part = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype)
        core.product(A[rows], of_columns, part, False, transpose_b, blas=False)
        assert np.array_equal(part, whole[rows, columns])


def test_shuffle_is_a_permutation_and_uniform(core):
    state = np.array([1, 2, 3, 4], np.uint64)
    counts = np.zeros((5, 5))
    for _ in range(20_000):
        order = np.arange(5, dtype=np.uint32)
        core.shuffle(order, state)
        counts[np.arange(5), order] += 1
    assert (counts.sum(axis=0) == 20_000).all()
    expected = 20_000 / 5
    assert ((counts - expected) ** 2 / expected).sum() < 45  # chi-squared with 16 degrees of freedom: 45 has p = 1.4e-4


def test_draw_gives_a_uniform_subset(core):
    state = np.array([5, 6, 7, 8], np.uint64)
    order = np.arange(10, dtype=np.uint32)
    counts = np.zeros(10)
    for _ in range(20_000):
        core.draw(order, 3, state)
        assert len(set(order[:3])) == 3
        counts[order[:3]] += 1
    assert sorted(order) == list(range(10))
    expected = 20_000 * 3 / 10
    assert ((counts - expected) ** 2 / expected).sum() < 30  # 9 degrees of freedom, less variance than independent draws


def test_shuffle_is_the_same_for_the_same_state():
    results = []
    for _ in range(2):
        order, state = np.arange(100, dtype=np.uint32), np.array([1, 2, 3, 4], np.uint64)
        _core.core.shuffle(order, state)
        results.append((order, state))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])
    assert not np.array_equal(results[0][1], [1, 2, 3, 4])


def adam_steps(core, W, g, m, v, *, epsilon=1e-8):
    """Parameters and moments after a step of Adam with a learning rate of 1, in the dtype of its arguments."""
    W, m, v = W.copy(), m.copy(), v.copy()
    code = core.OPTIMIZER_CODES["adam"]
    core.update(W, g, code, (0.9, 0.999, epsilon, 1.0), [m, v], step=10, rate=1.0)
    return W, m, v


@pytest.mark.parametrize("epsilon", [1e-8, 1e-3])
def test_a_step_of_adam(core, dtype, rng, epsilon):
    """Within some units in the last place of its parts, for squares of all sizes."""
    n = 20_000
    g = (rng.standard_normal(n) * 10.0 ** rng.integers(-15, 16, n)).astype(dtype)
    m, v, W = 0.5 * g, (0.7 * g.astype(float) ** 2).astype(dtype), np.zeros(n, dtype)
    v[::7] = 0
    got, mean, square = adam_steps(core, W, g, m, v, epsilon=epsilon)
    a, rest_a, b, rest_b, correction, epsilon, g, m, v = (
        np.asarray(number, dtype).astype(np.longdouble)
        for number in (0.9, 1 - 0.9, 0.999, 1 - 0.999, np.sqrt(1 - 0.999**10) / (1 - 0.9**10), epsilon, g, m, v)
    )
    exact_mean, exact_square = a * m + rest_a * g, b * v + rest_b * g**2
    exact = -correction * exact_mean / (np.sqrt(exact_square) + epsilon)
    normal = exact_square > np.finfo(dtype).tiny
    eps = np.finfo(dtype).eps
    assert np.max(np.abs(mean - exact_mean) / np.abs(exact_mean)) < 1.5 * eps
    assert np.max(np.abs(square - exact_square)[normal] / exact_square[normal]) < 2 * eps
    assert np.max(np.abs(got - exact)[normal] / np.abs(exact[normal])) < 4 * eps


def test_a_step_of_adam_does_not_depend_on_the_place_in_the_vector(core, dtype, rng):
    g, m, v, W = rng.standard_normal((4, 83)).astype(dtype)
    v **= 2
    whole = adam_steps(core, W, g, m, v)
    for start, stop in ((0, 1), (0, 83), (5, 20), (17, 50), (64, 83)):
        part = adam_steps(core, *(array[start:stop].copy() for array in (W, g, m, v)))
        for one, other in zip(part, whole, strict=True):
            np.testing.assert_array_equal(one, other[start:stop])


def test_a_step_of_adam_from_nothing_and_to_infinity(core, dtype):
    """No gradient ever, then one whose square is infinite, then none that is a number."""
    largest = np.finfo(dtype).max
    g = np.array([0, largest, -largest, np.nan, np.inf], dtype)
    W, m, v = adam_steps(core, np.ones(5, dtype), g, np.zeros(5, dtype), np.zeros(5, dtype))
    assert W[:3].tolist() == [1, 1, 1] and np.isnan(W[3:]).all()
    assert v[:3].tolist() == [0, np.inf, np.inf] and np.isnan(v[3]) and np.isinf(v[4])
    assert np.isnan(m[3]) and m[0] == 0
