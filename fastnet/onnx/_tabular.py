"""Fitted estimators of tables as ONNX models, with the preparing of columns inside."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from fastnet._caller import to_the_caller
from fastnet.onnx import _operations
from fastnet.onnx._builder import ML_DOMAIN, GraphBuilder
from fastnet.onnx._export import ascending, check_options, label_outputs, matrix
from fastnet.tabular import TabularPreprocessor
from fastnet.tabular.parts import BEND, Categories, Code, Encoder, Moment, Number, OneHot, Scaling, Sign

#: Column of a table -> name of the tensor (n_rows, 1) that holds it.
Sources = Callable[[int], str]


def export(estimator: Any, *, dtype: str, opset: int, zipmap: bool) -> onnx.ModelProto:
    """What `fastnet.onnx.to_onnx` gives for a `TabularClassifier` or `TabularRegressor`."""
    check_options(dtype, opset)
    _warn_of_empty_text(estimator.preprocessor_)
    graph, real = GraphBuilder(opset, np.dtype(dtype)), np.dtype(dtype)
    inputs, sources = _inputs(graph, estimator.preprocessor_)
    Z = _prepared(graph, estimator.preprocessor_, sources)
    weighted = [
        graph.add(
            "Mul",
            _operations.write(graph, network._graph, network.parameters, Z, f"{number}:"),
            graph.constant(np.array(weight, real)),
        )
        for number, (network, weight) in enumerate(zip(estimator.networks_, estimator.weights_, strict=True))
    ]
    A = graph.add("Sum", *weighted)
    if hasattr(estimator, "classes_"):
        outputs = label_outputs(graph, _tempered(graph, A, estimator.temperature_), estimator.classes_, real, zipmap)
    else:
        values = graph.add("Identity", _in_units(graph, estimator, A), output="variable")
        outputs = [matrix(values, np.dtype(np.float64), estimator._n_outputs())]
    _assert_distinct(graph, inputs)
    return graph.model(inputs, outputs, type(estimator).__name__)


def _warn_of_empty_text(prepare: TabularPreprocessor) -> None:
    for name, encoder in zip(prepare._names, prepare._encoders, strict=True):
        if isinstance(encoder, Categories) and "" in encoder.categories:
            warnings.warn(
                f'Column {name!r} has the category "", which a missing value given to the ONNX model as "" is taken for: give '
                "another text that is none of its categories where a value is missing.",
                stacklevel=to_the_caller(),
            )


def _inputs(graph: GraphBuilder, prepare: TabularPreprocessor) -> tuple[list[onnx.ValueInfoProto], Sources]:
    """The graph's inputs: one for each column that is used, or the whole array of numbers that was fitted."""
    used = [number for number, column in enumerate(prepare.columns_) if column.outputs]
    if not used:
        raise ValueError("All columns were left out in fit, nothing depends on them: there is no input that ONNX could have.")
    types = {number: _input_type(prepare._encoders[number], prepare._names[number]) for number in used}
    if not hasattr(prepare, "feature_names_in_") and set(types.values()) == {np.dtype(np.float64)}:

        def gathered(number: int) -> str:
            return graph.add("Gather", "X", graph.constant(np.array([number])), axis=1)

        return [matrix("X", np.dtype(np.float64), prepare.n_features_in_)], gathered
    return [matrix(prepare._names[number], type_, 1) for number, type_ in types.items()], prepare._names.__getitem__


def _input_type(encoder: Encoder, name: str) -> np.dtype:
    """Text for categories of text, else numbers."""
    if isinstance(encoder, Moment):
        raise ValueError(
            f"Column {name!r} holds dates or times, which ONNX has no type for: turn them into numbers before fit, "
            "the days since a date and the day of the week, say."
        )
    if not isinstance(encoder, Categories):
        return np.dtype(np.float64)
    are_text = {isinstance(category, str) for category in encoder.categories}
    if len(are_text) > 1:
        raise ValueError(f"Column {name!r} holds both text and numbers, an input of ONNX has one type: make it text before fit.")
    if True in are_text:
        return np.dtype(object)
    if len({float(category) for category in encoder.categories}) < len(encoder.categories):
        raise ValueError(f"Column {name!r} has categories that float64 cannot tell apart: make it text before fit.")
    return np.dtype(np.float64)


def _assert_distinct(graph: GraphBuilder, inputs: list[onnx.ValueInfoProto]) -> None:
    names = [value.name for value in inputs]
    taken = {name for node in graph.nodes for name in node.output} | {constant.name for constant in graph.constants}
    for name in names:
        if not name:
            raise ValueError("The name of a column is '', but an input of ONNX must have one: rename it before fit.")
        if name in taken or names.count(name) > 1:
            raise ValueError(f"Column {name!r} has the name of another part of the ONNX graph: rename it before fit.")


def _prepared(graph: GraphBuilder, prepare: TabularPreprocessor, sources: Sources) -> str:
    """What `prepare.transform` gives: numbers together, then each column of categories, and all of it in order."""
    columns = [(number, encoder) for number, encoder in enumerate(prepare._encoders) if prepare.columns_[number].outputs]
    of_numbers = [(number, encoder) for number, encoder in columns if isinstance(encoder, Number)]
    places: list[int] = []
    parts: list[str] = []
    if of_numbers:
        X = _concatenated(graph, [sources(number) for number, _ in of_numbers])
        parts.append(_scaled(graph, X, [encoder.scaling for _, encoder in of_numbers]))
        places += [prepare.columns_[number].outputs[0] for number, _ in of_numbers]
        marked = [place for place, (_, encoder) in enumerate(of_numbers) if encoder.missing is not None]
        if marked:
            missing = graph.add("IsNaN", graph.add("Gather", X, graph.constant(np.array(marked)), axis=1))
            scalings = [encoder.missing for _, encoder in of_numbers if encoder.missing is not None]
            parts.append(_either(graph, missing, scalings))
            places += [prepare.columns_[of_numbers[place][0]].outputs[1] for place in marked]
    for number, encoder in columns:
        if isinstance(encoder, Categories):
            parts.append(_ENCODED[type(encoder)](graph, encoder, _codes(graph, encoder, sources(number))))
            places += prepare.columns_[number].outputs
    Z = _concatenated(graph, parts)
    return graph.add("Gather", Z, graph.constant(np.argsort(places)), axis=1)


def _concatenated(graph: GraphBuilder, parts: list[str]) -> str:
    return graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]


def _scaled(graph: GraphBuilder, X: str, scalings: list[Scaling]) -> str:
    """``s (x - median)``, bent; computed in float64, as a number's digits may be lost before the median is subtracted."""
    half = graph.add("Mul", X, graph.constant(0.5))
    centred = graph.add("Sub", half, graph.constant(np.array([0.5 * scaling.median for scaling in scalings])))
    product = graph.add("Mul", centred, graph.constant(np.array([2 * scaling.factor for scaling in scalings])))
    known = graph.add("Where", graph.add("IsNaN", product), graph.constant(0.0), product)
    z = graph.add("Clip", known, graph.constant(-1e6), graph.constant(1e6))
    share = graph.add("Div", z, graph.constant(BEND))
    root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", share, share), graph.constant(1.0)))
    return _cast(graph, graph.add("Div", z, root))


def _cast(graph: GraphBuilder, tensor: str) -> str:
    return graph.add("Cast", tensor, to=onnx.helper.np_dtype_to_tensor_dtype(graph.dtype))


def _either(graph: GraphBuilder, condition: str, scalings: list[Scaling]) -> str:
    """The scaled 1 where the condition holds, else the scaled 0, a column for each scaling."""
    off, on = np.array([scaling(np.array([0.0, 1.0])) for scaling in scalings]).T
    return graph.add("Where", condition, graph.number(on), graph.number(off))


def _codes(graph: GraphBuilder, encoder: Categories, X: str) -> str:
    """The number of each value's category, from 1; 0 for one that is missing or unknown."""
    numbers = np.arange(1, len(encoder.categories) + 1)
    if isinstance(encoder.categories[0], str):
        table: dict[str, Any] = {"keys_strings": encoder.categories, "values_int64s": numbers.tolist(), "default_int64": 0}
        return graph.add("LabelEncoder", X, domain=ML_DOMAIN, **table)
    equal = graph.add("Equal", X, graph.constant(np.array([encoder.categories], dtype=np.float64)))
    of_equal = graph.add("Where", equal, graph.constant(numbers[None]), graph.constant(np.zeros((1, 1), np.int64)))
    return graph.add("ReduceSum", of_equal, graph.constant(np.array([1])), keepdims=1)


def _sign(graph: GraphBuilder, encoder: Sign, codes: str) -> str:
    return graph.add("Gather", graph.number([0, -1, 1]), codes)


def _one_hot(graph: GraphBuilder, encoder: OneHot, codes: str) -> str:
    numbers = graph.constant(np.arange(1, len(encoder.categories) + 1)[None])
    return _either(graph, graph.add("Equal", codes, numbers), list(encoder.scalings))


def _code(graph: GraphBuilder, encoder: Code, codes: str) -> str:
    return _cast(graph, codes)


#: Class of a column of categories -> what appends its outputs, ``(graph, encoder, codes) -> name``.
_ENCODED: dict[type[Encoder], Callable[..., str]] = {Sign: _sign, OneHot: _one_hot, Code: _code}


def _tempered(graph: GraphBuilder, p: str, temperature: float) -> str:
    """Probabilities proportional to ``p^(1 / temperature)``."""
    logarithms = graph.add("Log", graph.add("Max", p, graph.number(1e-30)))
    return graph.add("Softmax", graph.add("Div", logarithms, graph.number(temperature)), output="probabilities", axis=1)


def _in_units(graph: GraphBuilder, regressor: Any, A: str) -> str:
    """Values in the units of the targets, within their range, and quantiles of a target in ascending order; in float64."""
    k = regressor._of_each_target()
    outputs = graph.add("Cast", A, to=TensorProto.DOUBLE)

    def of_outputs(values: np.ndarray) -> str:
        return graph.constant(np.repeat(values, k))

    values = graph.add("Add", graph.add("Mul", outputs, of_outputs(regressor._spread)), of_outputs(regressor._shift))
    if regressor.clip:
        values = graph.add("Min", graph.add("Max", values, of_outputs(regressor._low)), of_outputs(regressor._high))
    return values if k == 1 else ascending(graph, values, k, regressor._n_outputs())
