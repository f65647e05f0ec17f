"""Which modules of torch layers become, and the names of their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

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
)

#: A module's parameters by torch's names; each consists of parameters of fastnet's, side by side.
Kinds = dict[str, tuple[str, ...]]

_LINEAR: Kinds = {"weight": ("W",), "bias": ("b",)}
_NORM: Kinds = {"weight": ("gain",), "bias": ("bias",)}
_RECURRENT: Kinds = {"weight_ih_l0": ("W",), "weight_hh_l0": ("U",), "bias_ih_l0": ("b",), "bias_hh_l0": ("b",)}
_OUT: Kinds = {"out_proj.weight": ("out.W",), "out_proj.bias": ("out.b",)}
_ATTENTION: Kinds = {"in_proj_weight": ("qkv.W",), "in_proj_bias": ("qkv.b",), **_OUT}
_CROSS: Kinds = {"in_proj_weight": ("q.W", "kv.W"), "in_proj_bias": ("q.b", "kv.b"), **_OUT}
_CROSS_OF_TWO_WIDTHS: Kinds = {
    "q_proj_weight": ("q.W",),
    "k_proj_weight": ("kv.W",),
    "v_proj_weight": ("kv.W",),
    "in_proj_bias": ("q.b", "kv.b"),
    **_OUT,
}
_OF_NUMBERS: Kinds = {"linear.weight": ("linear.W",), "linear.bias": ("linear.b",)}
_PERIODIC: Kinds = {"periodic.weight": ("periodic.w",), **_OF_NUMBERS}

#: Layers that are modules; two parameters that consist of the same are added. `kinds` knows what depends on a layer's values.
KINDS: dict[type[Layer], Kinds] = {
    **dict.fromkeys((Dense, Conv1d, Conv2d, DepthwiseConv1d, DepthwiseConv2d), _LINEAR),
    BatchNorm: {**_NORM, "running_mean": ("mean",), "running_var": ("var",)},
    LayerNorm: _NORM,
    Scale: {"weight": ("s",), "bias": ("b",)},
    **dict.fromkeys((Parametric, PReLU), {"weight": ("p",)}),
    **dict.fromkeys((RNN, LSTM), _RECURRENT),
    GRU: {**_RECURRENT, "bias_hh_l0": ("c",)},
    **dict.fromkeys((Embedding, CategoryEmbedding), {"weight": ("E",)}),
    NumericEmbedding: _PERIODIC,
    FeatureTokens: {"weight": ("W",), "bias": ("P",)},
    Positions: {"weight": ("P",)},
    Attention: _ATTENTION,
    CrossAttention: _CROSS,
    **dict.fromkeys((Bidirectional, TransformerBlock), {}),
    **dict.fromkeys((Residual, Concat, EncoderDecoder), {}),
    **dict.fromkeys((Dropout, Flatten, Last, Reshape, Columns, MaxPool, AvgPool, GlobalPool), {}),
}

#: Layers whose modules read rows (length, channels), if they are told so by ``batch_first=True``.
_CHANNELS_LAST = (
    *(RNN, GRU, LSTM, Bidirectional, Embedding, Positions, FeatureTokens),
    *(Attention, CrossAttention, TransformerBlock, EncoderDecoder),
)


class Module(NamedTuple):
    """A layer as a module.

    Attributes
    ----------
    layer : Layer
    name : str
        Of the module: "0", or "2.1" in the second module inside the third.
    path : str
        Beginning of the names of the layer's parameters in fastnet.
    """

    layer: Layer
    name: str
    path: str


def modules(layers: Sequence[Layer], name: str = "", path: str = "") -> Iterator[Module]:
    """The modules of layers and of the layers inside them, in their order; TypeError if a layer is none."""
    index = 0
    for number, layer in enumerate(layers, start=1):
        module = Module(layer, f"{name}{index}", f"{path}{number}")
        if type(layer) not in KINDS:
            known = ", ".join(row.__name__ for row in KINDS)
            raise TypeError(
                f"layer {module.path}, {type(layer).__name__}, is no module of an nn.Sequential; those are {known}. "
                "net.parameters has the parameters of all layers by name"
            )
        yield module
        for part, place, inside in _inside(layer):
            yield from modules(inside, f"{module.name}.{part}", f"{module.path}.{place}")
        index += _n_modules(layer)


def has_channels_last(layers: Sequence[Layer]) -> bool:
    """Whether the modules of a network read rows whose channels come last."""
    return any(isinstance(module.layer, _CHANNELS_LAST) for module in modules(layers))


def kinds(layer: Layer, two_widths: bool = False) -> Kinds:
    """The parameters of a layer's module; `two_widths` says whether cross attention reads rows of another width than its own."""
    if isinstance(layer, Positions) and layer.kind == "sinusoidal":
        return {}
    if isinstance(layer, Scale) and not layer.bias:
        return {"weight": ("s",)}
    if isinstance(layer, CrossAttention) and two_widths:
        return _CROSS_OF_TWO_WIDTHS
    if isinstance(layer, NumericEmbedding):
        phases = {"periodic.phase": ("periodic.phase",)}
        return {"pbld": {**_PERIODIC, **phases}, "plr": _PERIODIC, "piecewise_linear": _OF_NUMBERS}[layer.kind]
    if isinstance(layer, Bidirectional):
        both = kinds(layer.layer)
        reverse = {f"{kind}_reverse": segments for kind, segments in both.items()}
        return {**_within("", "1.", both), **_within("", "2.", reverse)}
    if isinstance(layer, TransformerBlock):
        return _of_block(layer.cross, two_widths)
    return KINDS[type(layer)]


def _inside(layer: Layer) -> list[tuple[str, str, Sequence[Layer]]]:
    """Chains of layers in a layer, and how the names of their modules and of their parameters go on."""
    if isinstance(layer, Residual):
        return [("", "", layer.layers)]
    if isinstance(layer, Concat):
        return [(f"{number}.", f"{number + 1}.", branch) for number, branch in enumerate(layer.branches)]
    if isinstance(layer, EncoderDecoder):
        return [("encoder.", "encoder.", layer.encoder), ("decoder.", "decoder.", layer.decoder)]
    return []


def _n_modules(layer: Layer) -> int:
    if isinstance(layer, (BatchNorm, Residual)):
        return 1 + (layer.activation.name != "identity")
    if isinstance(layer, (Dense, Conv1d, Conv2d, DepthwiseConv1d, DepthwiseConv2d)):
        return 2 + bool(layer.dropout)
    if isinstance(layer, Parametric):
        return 1 + bool(layer.dropout)
    return 1 + isinstance(layer, GlobalPool)


def _within(prefix: str, place: str, inner: Kinds) -> Kinds:
    """The parameters of a module inside another."""
    return {f"{prefix}{kind}": tuple(f"{place}{segment}" for segment in segments) for kind, segments in inner.items()}


def _of_block(cross: bool, two_widths: bool) -> Kinds:
    """Those of nn.TransformerEncoderLayer or, with cross attention, nn.TransformerDecoderLayer."""
    parts = [("self_attn.", _ATTENTION)]
    if cross:
        parts.append(("multihead_attn.", _CROSS_OF_TWO_WIDTHS if two_widths else _CROSS))
    block: dict[str, tuple[str, ...]] = {}
    for number, (prefix, attention) in enumerate(parts, start=1):
        block |= _within(f"norm{number}.", f"{number}.1.", _NORM) | _within(prefix, f"{number}.2.", attention)
    last = len(parts) + 1
    block |= _within(f"norm{last}.", f"{last}.1.", _NORM)
    return block | _within("linear1.", f"{last}.2.", _LINEAR) | _within("linear2.", f"{last}.3.", _LINEAR)
