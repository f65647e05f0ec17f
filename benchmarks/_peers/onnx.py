"""ONNX Runtime, on the graph that fastnet exports."""

from __future__ import annotations

import numpy as np
import onnxruntime

import fastnet as fn
from benchmarks._peers import Unsupported
from benchmarks._tasks import Inference
from benchmarks._timing import Job


def predictor(task: Inference, n_threads: int | None) -> Job:
    try:
        from fastnet.onnx import to_onnx
    except ImportError as reason:
        raise Unsupported(str(reason)) from None

    layers = [*(fn.Dense(n, "relu") for n in task.sizes[1:-1]), fn.Dense(task.sizes[-1], "softmax")]
    model = to_onnx(fn.Network.from_parameters(layers, *task.parameters()), dtype=task.dtype)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads or 0
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    X = {"X": np.atleast_2d(task.data())}

    def predict(n: int) -> np.ndarray:
        for _ in range(n):
            (out,) = session.run(None, X)
        return out

    return predict
