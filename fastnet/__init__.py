"""fastnet: neural networks on the CPU, with a compiled core and scikit-learn's interface.

>>> import fastnet as fn
>>> net = fn.Network([fn.Dense(16, "relu"), fn.Dense(3, "softmax")], n_inputs=4, random_state=0)
>>> net
<Network 4 -> 16 relu, 3 softmax; 131 parameters, float32>
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastnet import _hints
from fastnet.activations import (
    ELU,
    GELU,
    SELU,
    Exponential,
    HardSwish,
    Identity,
    LeakyReLU,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from fastnet.exceptions import DivergenceError, DivergenceWarning
from fastnet.initializers import GlorotNormal, GlorotUniform, HeNormal, HeUniform, LeCunNormal, Zeros
from fastnet.layers import (
    GRU,
    LSTM,
    RNN,
    Attention,
    AvgPool,
    BatchNorm,
    Bidirectional,
    CategoryEmbedding,
    Columns,
    Concat,
    Conv1d,
    Conv2d,
    CrossAttention,
    Dense,
    DepthwiseConv1d,
    DepthwiseConv2d,
    Dropout,
    Embedding,
    EncoderDecoder,
    FeatureTokens,
    Flatten,
    GlobalPool,
    Gradients,
    Last,
    Layer,
    LayerNorm,
    MaxPool,
    NumericEmbedding,
    Parametric,
    Positions,
    PReLU,
    Reshape,
    Residual,
    Scale,
    TransformerBlock,
    quantile_bins,
)
from fastnet.losses import AbsoluteError, BinaryCrossEntropy, CrossEntropy, Huber, LogCosh, Poisson, Quantile, SquaredError
from fastnet.network import Network
from fastnet.ragged import Ragged
from fastnet.runtime import show_config

if TYPE_CHECKING:
    from fastnet._many import fit_many
    from fastnet.callbacks import Callback, EarlyStopping, ProgressBar
    from fastnet.checkpoint import Checkpoint
    from fastnet.estimators import (
        Forecaster,
        ImageClassifier,
        MLPClassifier,
        MLPRegressor,
        NetworkClassifier,
        NetworkRegressor,
        SequenceClassifier,
        SequenceRegressor,
        TextClassifier,
    )
    from fastnet.functional import OptimizerState, init_state, update
    from fastnet.history import History
    from fastnet.optimizers import LBFGS, SGD, AdaGrad, Adam, AdamW, Lion, RMSprop
    from fastnet.persistence import load
    from fastnet.schedules import Constant, Cosine, ExponentialDecay, InverseScaling, LinearWarmup, OneCycle, StepDecay
    from fastnet.tabular import TabularClassifier, TabularPreprocessor, TabularRegressor

__version__ = "0.1.0"

#: Modules that are imported when one of their names is first used: they need more than NumPy and SciPy, or a prediction does not
#: need them (a third of what importing fastnet would cost).
_LAZY = {
    "fastnet._many": ("fit_many",),
    "fastnet.callbacks": ("Callback", "EarlyStopping", "ProgressBar"),
    "fastnet.checkpoint": ("Checkpoint",),
    "fastnet.estimators": (
        "Forecaster",
        "ImageClassifier",
        "MLPClassifier",
        "MLPRegressor",
        "NetworkClassifier",
        "NetworkRegressor",
        "SequenceClassifier",
        "SequenceRegressor",
        "TextClassifier",
    ),
    "fastnet.functional": ("OptimizerState", "init_state", "update"),
    "fastnet.history": ("History",),
    "fastnet.optimizers": ("LBFGS", "SGD", "AdaGrad", "Adam", "AdamW", "Lion", "RMSprop"),
    "fastnet.persistence": ("load",),
    "fastnet.tabular": ("TabularClassifier", "TabularPreprocessor", "TabularRegressor"),
    "fastnet.schedules": (
        "Constant",
        "Cosine",
        "ExponentialDecay",
        "InverseScaling",
        "LinearWarmup",
        "OneCycle",
        "StepDecay",
    ),
}
_HOMES = {name: module for module, names in _LAZY.items() for name in names}

#: Submodules that are imported when they are first used, for the same reasons.
_SUBMODULES = {module.removeprefix("fastnet.") for module in _LAZY if not module.startswith("fastnet._")} | {
    "augment",
    "dask",
    "data",
    "distributed",
    "inspection",
    "onnx",
    "plotting",
    "torch",
    "training",
}

__all__ = [
    "AbsoluteError",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Attention",
    "AvgPool",
    "BatchNorm",
    "Bidirectional",
    "BinaryCrossEntropy",
    "Callback",
    "CategoryEmbedding",
    "Checkpoint",
    "Columns",
    "Concat",
    "Constant",
    "Conv1d",
    "Conv2d",
    "Cosine",
    "CrossAttention",
    "CrossEntropy",
    "Dense",
    "DepthwiseConv1d",
    "DepthwiseConv2d",
    "DivergenceError",
    "DivergenceWarning",
    "Dropout",
    "ELU",
    "EarlyStopping",
    "Embedding",
    "EncoderDecoder",
    "Exponential",
    "ExponentialDecay",
    "FeatureTokens",
    "Flatten",
    "Forecaster",
    "GELU",
    "GRU",
    "GlobalPool",
    "GlorotNormal",
    "GlorotUniform",
    "Gradients",
    "HardSwish",
    "HeNormal",
    "HeUniform",
    "History",
    "Huber",
    "Identity",
    "ImageClassifier",
    "InverseScaling",
    "LBFGS",
    "LSTM",
    "Last",
    "Layer",
    "LayerNorm",
    "LeCunNormal",
    "LeakyReLU",
    "LinearWarmup",
    "Lion",
    "LogCosh",
    "MLPClassifier",
    "MLPRegressor",
    "MaxPool",
    "Mish",
    "Network",
    "NetworkClassifier",
    "NetworkRegressor",
    "NumericEmbedding",
    "OneCycle",
    "OptimizerState",
    "PReLU",
    "Parametric",
    "Poisson",
    "Positions",
    "ProgressBar",
    "Quantile",
    "RMSprop",
    "RNN",
    "Ragged",
    "ReLU",
    "Reshape",
    "Residual",
    "SELU",
    "SGD",
    "Scale",
    "SequenceClassifier",
    "SequenceRegressor",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SquaredError",
    "StepDecay",
    "TabularClassifier",
    "TabularPreprocessor",
    "TabularRegressor",
    "Tanh",
    "TextClassifier",
    "TransformerBlock",
    "Zeros",
    "__version__",
    "fit_many",
    "init_state",
    "load",
    "quantile_bins",
    "show_config",
    "update",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return import_module(f"fastnet.{name}")
    hint = _hints.called_here(name, __all__) or _hints.kept_in(name, _SUBMODULES)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
