"""Converters that let skl2onnx convert pipelines which contain fastnet's estimators."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fastnet._models import ModelView, model_view
from fastnet.onnx._builder import ML_DOMAIN
from fastnet.onnx._export import DEFAULT_OPSET, MIN_OPSET, export


def register_skl2onnx() -> None:
    """Register `MLPClassifier` and `MLPRegressor` with skl2onnx; once per process is enough.

    Afterwards `skl2onnx.to_onnx(pipeline, X[:1])` converts pipelines that contain them, with skl2onnx's own options for
    classifiers: `zipmap`, `nocl` (the label is the number of the class), `output_class_labels`.

    Raises
    ------
    ImportError
        skl2onnx is not installed.
    """
    try:
        from skl2onnx import update_registered_converter
        from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    except ImportError as error:
        raise ImportError("register_skl2onnx needs skl2onnx, which is not installed: pip install skl2onnx") from error

    from fastnet.estimators import MLPClassifier, MLPRegressor

    options = {"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [True, False]}
    update_registered_converter(
        MLPClassifier, "FastnetMLPClassifier", calculate_linear_classifier_output_shapes, _convert, options=options
    )
    update_registered_converter(MLPRegressor, "FastnetMLPRegressor", _regressor_shape, _convert)


def _regressor_shape(operator: Any) -> None:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    source = operator.inputs[0].type
    real = DoubleTensorType if isinstance(source, DoubleTensorType) else FloatTensorType
    operator.outputs[0].type = real([source.shape[0], operator.raw_operator.n_outputs_])


def _view(scope: Any, estimator: Any) -> ModelView:
    """Return a view of the estimator with the labels that skl2onnx wants: class numbers if its option `nocl` is set."""
    from skl2onnx.common.utils_classifier import get_label_classes

    view = model_view(estimator)
    return view if view.classes is None else replace(view, classes=get_label_classes(scope, estimator))


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Copy the nodes of `to_onnx` into skl2onnx's container, under names that are unique there."""
    from skl2onnx.common.data_types import DoubleTensorType

    source = operator.inputs[0]
    dtype = "float64" if isinstance(source.type, DoubleTensorType) else "float32"
    opset = max(MIN_OPSET, min(DEFAULT_OPSET, container.target_opset))
    graph = export(_view(scope, operator.raw_operator), dtype=dtype, opset=opset).graph
    if len(graph.output) == 2 and graph.output[0].type.tensor_type.elem_type not in (TensorProto.INT64, TensorProto.STRING):
        raise ValueError("skl2onnx supports only string and int64 labels: its option nocl=True gives class numbers instead")
    names = {"X": scope.get_unique_variable_name("cast_input")}
    real = TensorProto.DOUBLE if dtype == "float64" else TensorProto.FLOAT
    container.add_node("Cast", source.full_name, names["X"], name=scope.get_unique_operator_name("Cast"), to=real)
    names.update({ours.name: theirs.full_name for ours, theirs in zip(graph.output, operator.outputs, strict=True)})
    for tensor in graph.initializer:
        names[tensor.name] = scope.get_unique_variable_name(tensor.name)
        container.add_initializer(names[tensor.name], tensor.data_type, list(tensor.dims), _values(tensor))
    for node in graph.node:
        for name in node.output:
            names.setdefault(name, scope.get_unique_variable_name(name))
        container.add_node(
            node.op_type,
            [names[name] for name in node.input],
            [names[name] for name in node.output],
            op_domain=node.domain,
            op_version=3 if node.domain == ML_DOMAIN else opset,
            name=scope.get_unique_operator_name(node.op_type),
            **{attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute},
        )


def _values(tensor: TensorProto) -> list[Any]:
    array = np.asarray(numpy_helper.to_array(tensor)).ravel()
    return [label.encode() if isinstance(label, str) else label for label in array.tolist()]
