"""User data in the form that the core needs: features, targets and sample weights, checked and converted once.

Data that already has the right form is passed on without a copy. Inputs are never modified.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnet import _checks
from fastnet.losses import CrossEntropy, Loss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from scipy.sparse import sparray, spmatrix

#: Features as callers have them: arrays, lists, frames, sparse matrices.
MatrixLike: TypeAlias = "ArrayLike | sparray | spmatrix"
#: Compressed sparse rows: data, int32 column numbers, int64 row starts, (m, n).
CSR: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]
Features: TypeAlias = np.ndarray | CSR
#: Features, targets, and sample weights or None.
Dataset: TypeAlias = tuple[Features, np.ndarray, np.ndarray | None]


def is_sparse(X: Any) -> bool:
    """Whether X is a scipy.sparse matrix or array, without importing scipy.sparse."""
    issparse = getattr(sys.modules.get("scipy.sparse"), "issparse", None)  # not there yet while another thread imports it
    return issparse is not None and issparse(X)


def n_rows(X: Features) -> int:
    """Rows of features in the core's form."""
    return X[3][0] if isinstance(X, tuple) else len(X)


def batch(X: Any, n_inputs: int) -> tuple[Any, bool]:
    """X as a batch of rows, and whether it was a single datapoint of shape (n_inputs,)."""
    if is_sparse(X):
        return X, False
    array = _checks.numeric_array(X, "X")
    if array.ndim != 1:
        return array, False
    if len(array) != n_inputs:
        raise ValueError(f"One datapoint must have shape ({n_inputs},), got {array.shape}; a batch is (rows, {n_inputs}).")
    return array.reshape(1, -1), True


def features(X: Any, n_inputs: int, dtype: np.dtype, *, check_finite: bool = True) -> Features:
    """X in the core's form.

    Parameters
    ----------
    X : array-like or scipy.sparse matrix of shape (m, n_inputs)
        Any real dtype, order and strides; read-only and memory-mapped arrays too.
    n_inputs : int
        Columns expected.
    dtype : dtype
        float32 or float64.
    check_finite : bool
        Refuse NaN and infinity.

    Returns
    -------
    ndarray of shape (m, n_inputs), C-contiguous, or a CSR tuple

    Raises
    ------
    TypeError
        Not real numbers.
    ValueError
        Wrong shape, NaN or infinity.
    """
    if is_sparse(X):
        return _sparse_features(X, n_inputs, dtype, check_finite)
    array = _checks.numeric_array(X, "X")
    if array.ndim != 2:
        hint = "; use X.reshape(1, -1) for one datapoint, X.reshape(-1, 1) for one feature" if array.ndim == 1 else ""
        raise ValueError(f"X must have shape (rows, {n_inputs}), got {array.shape}{hint}.")
    _check_columns(array.shape, n_inputs)
    array = _converted(array, dtype)
    if check_finite:
        _checks.assert_finite(array, "X")
    return array


def _sparse_features(X: Any, n_inputs: int, dtype: np.dtype, check_finite: bool) -> CSR:
    if X.ndim != 2:
        raise ValueError(f"X must have shape (rows, {n_inputs}), got {X.shape}.")
    _check_columns(X.shape, n_inputs)
    _check_compressed(X)
    csr = X.tocsr()
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    data = _converted(_checks.numeric_array(csr.data, "X"), dtype)
    if check_finite:
        _checks.assert_finite(data, "the data of sparse X")
    # The row starts are copied: the core relies on them, and the caller could change the originals while it works.
    return data, np.ascontiguousarray(csr.indices, np.int32), np.array(csr.indptr, np.int64), csr.shape


def _check_compressed(X: Any) -> None:
    """Refuse a compressed matrix (CSR, CSC, BSR) whose index arrays do not fit, before SciPy follows them out of bounds."""
    if X.format not in ("csr", "csc", "bsr"):
        return
    block = X.blocksize if X.format == "bsr" else (1, 1)
    major, minor = (X.shape[axis] // block[axis] for axis in ((1, 0) if X.format == "csc" else (0, 1)))
    starts, numbers = X.indptr, X.indices
    if len(starts) != major + 1 or starts[0] != 0 or starts[-1] > min(len(numbers), len(X.data)) or (np.diff(starts) < 0).any():
        raise ValueError(
            f"X.indptr of the sparse matrix must have {major + 1} entries that go up from 0 to at most the "
            f"{min(len(numbers), len(X.data))} entries there are: build the matrix anew, from coordinates for example."
        )
    numbers = numbers[: starts[-1]]
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < minor:
        raise ValueError(
            f"X.indices of the sparse matrix holds {'row' if X.format == 'csc' else 'column'} numbers from {numbers.min()} to "
            f"{numbers.max()}; they must lie between 0 and {minor - 1}."
        )


def _check_columns(shape: tuple[int, ...], n_inputs: int) -> None:
    if shape[1] != n_inputs:
        raise ValueError(f"X has {shape[1]} features, the network was built with n_inputs={n_inputs}.")


def _converted(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array
    with np.errstate(over="ignore"):  # an overflow becomes infinity, which the check for finite values reports
        return np.require(array, dtype, ["C", "A"])


def targets(y: Any, m: int, n_outputs: int, loss: Loss, dtype: np.dtype, n_positions: int = 1) -> np.ndarray:
    """y in the core's form.

    Parameters
    ----------
    y : array-like of shape (m,) or (m, n_targets)
        Class numbers 0, 1, ... (or rows of probabilities) for cross_entropy, otherwise values; a vector is one column. Of outputs
        with positions, class numbers (m, ...) of each, -1 where it has no target.
    m, n_outputs : int
        Rows of X and outputs of the network.
    loss : Loss
        Determines which targets are valid.
    dtype : dtype
        The parameters' dtype.
    n_positions : int
        Positions of the output that have a softmax each.

    Returns
    -------
    ndarray of shape (m, n_outputs) and `dtype`, or of int32 or int64 and shape (m,) or (m, n_positions)

    Raises
    ------
    TypeError
        Not real numbers.
    ValueError
        Wrong shape, NaN or infinity, class numbers or values out of range.
    """
    array = _checks.numeric_array(y, "y")
    if n_positions > 1:
        return _class_numbers_of_positions(array, m, n_outputs // n_positions, n_positions, loss)
    if array.ndim not in (1, 2) or len(array) != m:
        hint = " Put the values of all positions of a row side by side: y.reshape(len(y), -1)." if array.ndim > 2 else ""
        raise ValueError(f"y must have one entry for each of the {m} rows of X, got shape {array.shape}.{hint}")
    _checks.assert_finite(array, "y")
    if isinstance(loss, CrossEntropy) and (array.ndim == 1 or array.shape[1] == 1):
        return _class_numbers(array.reshape(-1), n_outputs)
    n_targets = loss.n_targets(n_outputs)
    matrix = array.reshape(m, -1) if m else array.reshape(0, n_targets)
    if matrix.shape[1] != n_targets:
        hint = " Class numbers need the loss 'cross_entropy' and an output layer with 'softmax'." if array.ndim == 1 else ""
        raise ValueError(
            f"y must have {n_targets} column{'s' * (n_targets > 1)} for {n_outputs} outputs, got shape {array.shape}.{hint}"
        )
    matrix = _converted(matrix, dtype)
    _checks.assert_finite(matrix, "y")
    if m:
        loss.check_targets(matrix)
    return matrix if n_targets == n_outputs else np.repeat(matrix, n_outputs // n_targets, axis=1)


def _class_numbers_of_positions(y: np.ndarray, m: int, n_classes: int, n_positions: int, loss: Loss) -> np.ndarray:
    if not isinstance(loss, CrossEntropy):
        raise ValueError(f"Softmax outputs with positions are trained with 'cross_entropy', got {loss.name!r}.")
    if len(y) != m or y.size != m * n_positions:
        raise ValueError(
            f"y must have a class number for each of the {n_positions} positions of the output of {m} rows, got shape {y.shape}."
        )
    _checks.assert_finite(y, "y")
    return _class_numbers(y.reshape(-1), n_classes, least=-1).reshape(m, n_positions)


def _class_numbers(y: np.ndarray, n_classes: int, least: int = 0) -> np.ndarray:
    bad = (y < least) | (y >= n_classes)
    if y.dtype.kind == "f":
        bad |= y != np.floor(y)
    if bad.any():
        where = int(bad.argmax())
        raise ValueError(
            f"Class numbers must be integers from {least} to {n_classes - 1}, one for each output; y[{where}] is {y[where]}."
        )
    return np.ascontiguousarray(y, np.int64 if y.dtype == np.int64 else np.int32)


def sample_weights(sample_weight: Any, m: int, dtype: np.dtype) -> np.ndarray | None:
    """Sample weights as a vector of m values of `dtype`; None stays None.

    Raises
    ------
    TypeError
        Not real numbers.
    ValueError
        Wrong shape, negative, NaN or infinite weights, or weights that are all zero.
    """
    if sample_weight is None:
        return None
    array = nonnegative(representable(_checks.numeric_array(sample_weight, "sample_weight"), dtype), m, dtype)
    if m:
        refuse_no_weight(array.any())
    return array


def refuse_no_weight(has_weight: Any) -> None:
    """ValueError unless some row has a weight."""
    if not has_weight:
        raise ValueError("sample_weight must not be zero everywhere: at least one weight has to be positive.")


def weights_of_positions(labels: np.ndarray, sample_weight: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """Weights of rows whose positions have targets: each row's times the number of these, so that all positions count alike.

    Raises
    ------
    ValueError
        No position of rows that count has a target.
    """
    there = np.count_nonzero(labels >= 0, axis=1).astype(dtype)
    weights = there if sample_weight is None else there * sample_weight
    if not weights.any():
        raise ValueError("y has no targets: all class numbers of rows that count are -1.")
    return weights


def refuse_positions(n_positions: int, what: str) -> None:
    """ValueError where targets of positions are not taken."""
    if n_positions > 1:
        raise ValueError(
            f"A network with a softmax at each of {n_positions} positions is trained by Network.fit on arrays, not {what}."
        )


def nonnegative(sample_weight: Any, m: int, dtype: np.dtype) -> np.ndarray:
    """Sample weights of some rows of the data, which may all be zero; otherwise as for `sample_weights`."""
    array = _checks.numeric_array(sample_weight, "sample_weight")
    if array.shape != (m,):
        raise ValueError(f"sample_weight must have shape ({m},), one weight for each row of X, got {array.shape}.")
    array = _converted(array, dtype)
    _checks.assert_finite(array, "sample_weight")
    if m and array.min() < 0:
        raise ValueError(f"sample_weight must not be negative, got {array.min():g}.")
    return array


def representable(weights: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Weights divided by the largest one if it or their sum is outside the range of `dtype`: only their ratios matter."""
    largest, limits = np.max(weights, initial=0), np.finfo(dtype)
    within = limits.tiny / limits.eps <= largest <= limits.max * limits.eps
    return weights if within or not 0 < largest < np.inf else weights / largest


def validated(
    X: Any,
    y: Any,
    sample_weight: Any,
    n_inputs: int,
    n_outputs: int,
    loss: Loss,
    dtype: np.dtype,
    target_dtype: np.dtype | None = None,
    n_positions: int = 1,
) -> Dataset:
    """Features, targets and sample weights of at least one datapoint, in the core's form but for another `target_dtype`."""
    X = features(X, n_inputs, dtype)
    m = n_rows(X)
    if m == 0:
        raise ValueError("X has no rows: at least one datapoint is needed.")
    target_dtype = target_dtype or dtype
    y, w = targets(y, m, n_outputs, loss, target_dtype, n_positions), sample_weights(sample_weight, m, target_dtype)
    return X, y, weights_of_positions(y, w, target_dtype) if n_positions > 1 else w
