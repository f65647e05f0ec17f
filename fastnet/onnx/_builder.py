"""A small builder of ONNX graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

ML_DOMAIN = "ai.onnx.ml"
ML_OPSET = 3


class GraphBuilder:
    """Collects nodes and constants; every output of a node gets a unique name.

    Parameters
    ----------
    opset : int
        Version of ONNX's operators to use.
    dtype : dtype
        Dtype of the numbers in the graph.
    """

    def __init__(self, opset: int, dtype: np.dtype) -> None:
        self.opset = opset
        self.dtype = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._uses_ml = False

    def add(
        self, operator: str, *inputs: str, output: str | None = None, domain: str = "", n_unused: int = 0, **attributes: Any
    ) -> str:
        """Append a node and return the name of its first output; `n_unused` further outputs follow it."""
        name = f"{operator}_{len(self.nodes)}"
        output = output or f"{name}_out"
        outputs = [output, *(f"{name}_unused_{number}" for number in range(n_unused))]
        self.nodes.append(helper.make_node(operator, list(inputs), outputs, name=name, domain=domain, **attributes))
        self._uses_ml |= domain == ML_DOMAIN
        return output

    def constant(self, value: Any, name: str | None = None) -> str:
        """Append a constant and return its name."""
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def number(self, value: Any, name: str | None = None) -> str:
        """Append a constant in the graph's dtype and return its name."""
        return self.constant(np.asarray(value, self.dtype), name)

    def reshape(self, tensor: str, *row: int) -> str:
        """Append a reshape of the tensor to rows of shape `row`."""
        return self.add("Reshape", tensor, self.constant(np.array([-1, *row])))

    def mean(self, tensor: str, axis: int, *, keepdims: bool = False) -> str:
        """Append the mean over an axis."""
        return self.reduce("ReduceMean", tensor, axis, keepdims=keepdims)

    def reduce(self, operator: str, tensor: str, axis: int, *, keepdims: bool = False) -> str:
        """Append a reduction over an axis, which all of them take as operand from operator set 18 on, and sums before."""
        if self.opset < 18 and operator != "ReduceSum":
            return self.add(operator, tensor, axes=[axis], keepdims=int(keepdims))
        return self.add(operator, tensor, self.constant(np.array([axis])), keepdims=int(keepdims))

    def model(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto], name: str) -> onnx.ModelProto:
        """Return the finished model."""
        from fastnet import __version__

        opsets = [helper.make_opsetid("", self.opset)]
        if self._uses_ml:
            opsets.append(helper.make_opsetid(ML_DOMAIN, ML_OPSET))
        return helper.make_model(
            helper.make_graph(self.nodes, name, inputs, outputs, self.constants),
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),
            producer_name="fastnet",
            producer_version=__version__,
        )
