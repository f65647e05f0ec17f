"""JAX: a jitted step for each batch, as convolutions inside of a loop lose XLA's fast kernels."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._layers import GATES, LayerTraining, Spec, walk
from benchmarks._peers.jax import adam
from benchmarks._timing import Job


def _parameters(layer: Spec, before: tuple[int, ...], rng: np.random.Generator) -> dict[str, Any]:
    def weights(*shape: int) -> Any:
        return jnp.asarray(rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[:-1]))))

    def linear(n_in: int, n_out: int) -> dict[str, Any]:
        return {"W": weights(n_in, n_out), "b": jnp.zeros(n_out)}

    match layer:
        case ("conv", filters, size, _):
            return {"W": weights(*(size,) * (len(before) - 1), before[-1], filters), "b": jnp.zeros(filters)}
        case ("lstm" | "gru" as kind, units):
            width = GATES[kind] * units
            return {**linear(before[-1], width), "U": weights(units, width), "c": jnp.zeros(width)}
        case ("embedding", n_ids, width):
            return {"E": weights(n_ids, width)}
        case ("tokens", width):
            return {"W": weights(before[0], width), "P": weights(before[0] + 1, width)}
        case ("positions",):
            return {"P": weights(*before)}
        case ("norm",):
            return _norm_parameters(before[-1])
        case ("block" | "causal", _, units):
            width = before[-1]
            of_attention = {"norm1": _norm_parameters(width), "qkv": linear(width, 3 * width), "out": linear(width, width)}
            return {**of_attention, "norm2": _norm_parameters(width), "up": linear(width, units), "down": linear(units, width)}
        case ("linear" | "dense" | "output", units):
            return linear(before[-1], units)
        case _:
            return {}


def _norm_parameters(width: int) -> dict[str, Any]:
    return {"g": jnp.ones(width), "b": jnp.zeros(width)}


def _convolved(p: dict[str, Any], A: Any, padding: int) -> Any:
    axes = "HW"[: A.ndim - 2]
    numbers = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    ones = (1,) * len(axes)
    return jax.lax.conv_general_dilated(A, p["W"], ones, [(padding, padding)] * len(axes), dimension_numbers=numbers) + p["b"]


def _pooled(A: Any, size: int) -> Any:
    window = (1, *(size,) * (A.ndim - 2), 1)
    return jax.lax.reduce_window(A, -jnp.inf, jax.lax.max, window, window, "VALID")


def _lstm(p: dict[str, Any], state: Any, x: Any) -> tuple[Any, Any]:
    h, c = state
    i, f, g, o = jnp.split(x + h @ p["U"] + p["c"], 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def _gru(p: dict[str, Any], state: Any, x: Any) -> tuple[Any, Any]:
    h, _ = state
    (xr, xz, xn), (hr, hz, hn) = jnp.split(x, 3, axis=1), jnp.split(h @ p["U"] + p["c"], 3, axis=1)
    r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
    h = (1 - z) * jnp.tanh(xn + r * hn) + z * h
    return (h, h), h


def _last(p: dict[str, Any], A: Any, step: Any, lengths: Any) -> Any:
    """The state after each row's last position, with the inputs' products made for all positions at once; lengths may be None."""
    zero = jnp.zeros((A.shape[0], p["U"].shape[0]))
    inputs = _linear(p, A).swapaxes(0, 1)
    if lengths is None:
        return jax.lax.scan(lambda state, x: (step(p, state, x)[0], None), (zero, zero), inputs)[0][0]
    states = jax.lax.scan(partial(step, p), (zero, zero), inputs)[1]
    return states[lengths - 1, jnp.arange(A.shape[0])]


def _linear(p: dict[str, Any], A: Any) -> Any:
    return A @ p["W"] + p["b"]


def _normed(p: dict[str, Any], A: Any) -> Any:
    centred = A - A.mean(axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-5) * p["g"] + p["b"]


def _block(p: dict[str, Any], A: Any, n_heads: int, causal: bool) -> Any:
    parts = jnp.split(_linear(p["qkv"], _normed(p["norm1"], A)), 3, axis=-1)
    heads = (part.reshape(*A.shape[:2], n_heads, -1) for part in parts)
    A = A + _linear(p["out"], jax.nn.dot_product_attention(*heads, is_causal=causal).reshape(A.shape))
    return A + _linear(p["down"], jax.nn.gelu(_linear(p["up"], _normed(p["norm2"], A)), approximate=False))


def _tokens(p: dict[str, Any], A: Any) -> Any:
    return jnp.pad(A[..., None] * p["W"], ((0, 0), (0, 1), (0, 0))) + p["P"]


def _forward(params: list[dict[str, Any]], A: Any, layers: tuple[Spec, ...], lengths: Any) -> Any:
    for p, layer in zip(params, layers, strict=True):
        match layer:
            case ("conv", _, _, padding):
                A = jax.nn.relu(_convolved(p, A, padding))
            case ("pool", size):
                A = _pooled(A, size)
            case ("flatten",):
                A = A.reshape(len(A), -1)
            case ("mean",):
                A = A.mean(axis=tuple(range(1, A.ndim - 1)))
            case ("last",):
                A = A[:, -1]
            case ("lstm" | "gru" as kind, _):
                A = _last(p, A, _lstm if kind == "lstm" else _gru, lengths)
            case ("embedding", _, _):
                A = p["E"][A]
            case ("tokens", _):
                A = _tokens(p, A)
            case ("positions",):
                A = A + p["P"]
            case ("block" | "causal" as kind, heads, _):
                A = _block(p, A, heads, kind == "causal")
            case ("norm",):
                A = _normed(p, A)
            case ("dense", _):
                A = jax.nn.relu(_linear(p, A))
            case _:
                A = _linear(p, A)
    return A


def trainer(task: LayerTraining, n_threads: int | None) -> Job:
    X, y = task.data()
    y = y.astype(np.int32)
    lengths = task.row_lengths()
    rng = np.random.default_rng(1)
    params = [_parameters(layer, before, rng) for layer, before, _ in walk(task.input_shape, task.layers)]
    zeros = partial(jax.tree.map, jnp.zeros_like, params)

    def loss(params: Any, rows: Any, targets: Any, lengths: Any) -> Any:
        Z = _forward(params, rows, task.layers, lengths)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(Z), targets[..., None], axis=-1))

    @partial(jax.jit, donate_argnums=0)
    def step(carry: Any, rows: Any, targets: Any, lengths: Any) -> Any:
        params, state = carry
        return adam(params, jax.grad(loss)(params, rows, targets, lengths), state, 0.0)

    carry = (params, (zeros(), zeros(), jnp.zeros((), jnp.float32)))

    def train(n: int) -> None:
        nonlocal carry
        for _ in range(n):
            for batch in np.array_split(rng.permutation(task.n_rows), task.n_rows // task.batch_size):
                carry = step(carry, X[batch], y[batch], None if task.lengths is None else lengths[batch])
        jax.block_until_ready(carry)

    return train
