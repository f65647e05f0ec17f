"""Networks and fitted estimators as ONNX models."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from fastnet._models import ModelView, model_view
from fastnet.onnx import _operations
from fastnet.onnx._builder import ML_DOMAIN, GraphBuilder

MIN_OPSET = 13
DEFAULT_OPSET = 20


def to_onnx(model: Any, *, dtype: str = "float32", opset: int = DEFAULT_OPSET, zipmap: bool = False) -> onnx.ModelProto:
    """Convert a model to an ONNX graph with the same inputs and outputs that skl2onnx gives scikit-learn's MLPs.

    The input is `X` (n_rows, n_features). A classifier's outputs are `label` (n_rows,), int64 or strings (uint64 if there are
    labels from 2**63 on), and `probabilities` (n_rows, n_classes), two columns for two classes; a multilabel classifier's
    `label` is (n_rows, n_labels) of 0 and 1. A regressor's output is `variable` (n_rows, n_outputs), with the values
    that its `predict` returns; a network's is `output` (n_rows, n_outputs), for an ensemble the mean over its members. All layers
    are written as they are at inference, without dropout. Category codes are columns of `X`, given as numbers like the others.
    Rows with positions are flat in `X`; rows of unequal length are filled up with zeros to the longest, and one more column has
    their lengths. Sources of an encoder follow, in the same form. Of softmax outputs at each position, those of positions that a
    row does not have are not 0, as they are from `Network.forward`, but some probabilities.

    A `TabularClassifier` or `TabularRegressor` has an input (n_rows, 1) for each column that it uses, named as the column is:
    of strings if its categories are text, otherwise of float64. Missing numbers are NaN; missing text is any string that is
    not a category, such as "". Fitted to an array of numbers, it has one float64 input `X`. The `variable` of a
    `TabularRegressor` is float64 whatever the dtype, as targets may differ by little beside their size.

    Parameters
    ----------
    model : Network or fitted estimator
    dtype : {"float32", "float64"}
        Dtype of input, parameters and output; of tables, that of parameters and probabilities. ONNX Runtime has no
        float64 kernels for leaky_relu, elu, selu, gelu, mish, hardswish and softplus, nor for GRU, LSTM, RNN, convolutions,
        AvgPool and the mean of GlobalPool.
    opset : int
        Version of ONNX's operators, at least 13.
    zipmap : bool
        For classifiers: outputs `output_label`, and `output_probability`, a list with one {class: probability} per row.

    Returns
    -------
    onnx.ModelProto
        `onnx.save(model, path)` or `model.SerializeToString()` writes it.

    Raises
    ------
    ValueError
        An argument is out of range, a column of a table holds dates or times, class labels are neither strings, booleans nor
        numbers (for example dates), or ZipMap does not support the labels or the dtype of the probabilities.

    Warns
    -----
    UserWarning
        A column of a table has the category "", so that missing values must be given as another text.

    Examples
    --------
    >>> import fastnet as fn
    >>> from fastnet.onnx import to_onnx
    >>> net = fn.Network([fn.Dense(3, "relu"), fn.Dense(2, "softmax")], n_inputs=4, random_state=0)
    >>> [node.op_type for node in to_onnx(net).graph.node]
    ['Gemm', 'Relu', 'Gemm', 'Softmax', 'Identity']
    """
    if hasattr(model, "preprocessor_"):
        from fastnet.onnx import _tabular

        return _tabular.export(model, dtype=dtype, opset=opset, zipmap=zipmap)
    values = "variable" if hasattr(model, "coefs_") else "output"
    return export(model_view(model), dtype=dtype, opset=opset, zipmap=zipmap, values=values)


def export(view: ModelView, *, dtype: str, opset: int, zipmap: bool = False, values: str = "variable") -> onnx.ModelProto:
    """Do the work of `to_onnx`, given a view of the model; `values` names the output of models without classes."""
    check_options(dtype, opset)
    graph, real = GraphBuilder(opset, np.dtype(dtype)), np.dtype(dtype)
    A = _operations.write(graph, view.graph, view.parameters)
    if view.classes is not None:
        outputs = _classifier_outputs(graph, view, A, real, zipmap)
    else:
        A = _sorted(graph, view, A) if view.sorted_levels else A
        outputs = [matrix(graph.add("Identity", A, output=values), real, view.sizes[-1])]
    return graph.model([matrix("X", real, view.sizes[0])], outputs, view.name)


def check_options(dtype: str, opset: int) -> None:
    """Refuse what no export can be of."""
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype!r}, expected 'float32' or 'float64'")
    if not MIN_OPSET <= opset:
        raise ValueError(f"opset is {opset}, expected at least {MIN_OPSET}")


def _sorted(graph: GraphBuilder, view: ModelView, A: str) -> str:
    """The quantiles of each target, sorted so that they increase with their levels."""
    return ascending(graph, A, len(view.sorted_levels), view.sizes[-1], np.argsort(np.argsort(view.sorted_levels)))


def ascending(graph: GraphBuilder, A: str, k: int, n_outputs: int, rank: np.ndarray | None = None) -> str:
    """Each k outputs of a row in ascending order, or those of these ranks; a 0 in a shape keeps the number of rows."""
    by_target = graph.add("Reshape", A, graph.constant(np.array([0, n_outputs // k, k])))
    found = graph.add("TopK", by_target, graph.constant(np.array([k])), n_unused=1, axis=2, largest=0, sorted=1)
    if rank is not None:
        found = graph.add("Gather", found, graph.constant(rank), axis=2)
    return graph.add("Reshape", found, graph.constant(np.array([0, n_outputs])))


def _classifier_outputs(graph: GraphBuilder, view: ModelView, A: str, real: np.dtype, zipmap: bool) -> list[onnx.ValueInfoProto]:
    n_outputs = view.sizes[-1]
    if view.activations[-1].name == "sigmoid" and n_outputs > 1:
        return _multilabel_outputs(graph, A, n_outputs, real, zipmap)
    if n_outputs == 1:
        negative = graph.add("Sub", graph.constant(real.type(1)), A)
        probabilities = graph.add("Concat", negative, A, output="probabilities", axis=1)
    else:
        probabilities = graph.add("Identity", A, output="probabilities")
    return label_outputs(graph, probabilities, view.classes, real, zipmap)


def label_outputs(
    graph: GraphBuilder, probabilities: str, classes: Any, real: np.dtype, zipmap: bool
) -> list[onnx.ValueInfoProto]:
    """The label of the greatest probability of each row, and the probabilities."""
    labels = _labels(classes)
    best = graph.add("ArgMax", probabilities, axis=1, keepdims=0)
    label = graph.add("Gather", graph.constant(labels, "classes"), best, output="output_label" if zipmap else "label")
    return [
        _vector(label, labels.dtype),
        _zipmap(graph, probabilities, labels, real) if zipmap else matrix(probabilities, real, len(labels)),
    ]


def _multilabel_outputs(graph: GraphBuilder, A: str, n_labels: int, real: np.dtype, zipmap: bool) -> list[onnx.ValueInfoProto]:
    if zipmap:
        raise ValueError("zipmap is for classifiers with one label a row, this one is multilabel: use zipmap=False")
    probabilities = graph.add("Identity", A, output="probabilities")
    positive = graph.add("Greater", A, graph.constant(real.type(0.5)))
    label = graph.add("Cast", positive, output="label", to=TensorProto.INT64)
    return [matrix(label, np.dtype(np.int64), n_labels), matrix(probabilities, real, n_labels)]


def _labels(classes: Any) -> np.ndarray:
    """Return labels as ONNX has them: strings, int64 if that is exact, or as given; a single class stands for both outcomes."""
    classes = np.asarray(classes)
    if classes.dtype.kind in "OU":
        if not all(isinstance(label, str) for label in classes.tolist()):
            raise ValueError(f"class labels {classes.tolist()} are mixed, ONNX needs all strings or all numbers")
        classes = classes.astype(object)
    elif classes.dtype.kind not in "biuf":
        raise ValueError(
            f"class labels are {classes.dtype}, ONNX has strings, booleans and numbers: fit with such labels, y.astype(str) say"
        )
    elif all(label % 1 == 0 and -(2**63) <= label < 2**63 for label in classes.tolist()):
        classes = classes.astype(np.int64)
    return classes if len(classes) > 1 else np.repeat(classes, 2)


def _zipmap(graph: GraphBuilder, probabilities: str, labels: np.ndarray, real: np.dtype) -> onnx.ValueInfoProto:
    if labels.dtype.kind in "uf" or real != np.float32:
        raise ValueError("zipmap needs labels that are int64 or strings, and float32 probabilities: use zipmap=False")
    key = "classlabels_strings" if labels.dtype == np.dtype(object) else "classlabels_int64s"
    name = graph.add("ZipMap", probabilities, output="output_probability", domain=ML_DOMAIN, **{key: labels.tolist()})
    pair = helper.make_map_type_proto(_code(labels.dtype), helper.make_tensor_type_proto(_code(real), None))
    return helper.make_value_info(name, helper.make_sequence_type_proto(pair))


def _code(dtype: Any) -> int:
    return TensorProto.STRING if dtype == np.dtype(object) else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def matrix(name: str, dtype: np.dtype, columns: int) -> onnx.ValueInfoProto:
    """An input or output of so many columns; objects are strings."""
    return helper.make_tensor_value_info(name, _code(dtype), [None, columns])


def _vector(name: str, dtype: np.dtype) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _code(dtype), [None])
