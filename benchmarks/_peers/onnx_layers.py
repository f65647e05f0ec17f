"""ONNX Runtime, on the graphs that fastnet exports."""

from __future__ import annotations

import numpy as np
import onnxruntime

from benchmarks._layers import LayerInference
from benchmarks._peers import Unsupported
from benchmarks._peers.fastnet_layers import network
from benchmarks._timing import Job


def predictor(task: LayerInference, n_threads: int | None) -> Job:
    try:
        from fastnet.onnx import to_onnx
    except ImportError as reason:
        raise Unsupported(str(reason)) from None

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads or 0
    model = to_onnx(network(task.input_shape, task.layers)).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    X = {given.name: task.data().reshape(1, *given.shape[1:])}

    def predict(n: int) -> np.ndarray:
        for _ in range(n):
            (out,) = session.run(None, X)
        return out

    return predict
