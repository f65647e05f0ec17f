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

    match layer:
        case ("conv", filters, size, _):
            return {"W": weights(*(size,) * (len(before) - 1), before[-1], filters), "b": jnp.zeros(filters)}
        case ("lstm" | "gru" as kind, units):
            width = GATES[kind] * units
            return {"W": weights(before[-1], width), "U": weights(units, width), "b": jnp.zeros(width), "c": jnp.zeros(width)}
        case ("dense" | "output", units):
            return {"W": weights(before[0], units), "b": jnp.zeros(units)}
        case _:
            return {}


def _convolved(p: dict[str, Any], A: Any, padding: int) -> Any:
    axes = "HW"[: A.ndim - 2]
    numbers = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    ones = (1,) * len(axes)
    return jax.lax.conv_general_dilated(A, p["W"], ones, [(padding, padding)] * len(axes), dimension_numbers=numbers) + p["b"]


def _pooled(A: Any, size: int) -> Any:
    window = (1, *(size,) * (A.ndim - 2), 1)
    return jax.lax.reduce_window(A, -jnp.inf, jax.lax.max, window, window, "VALID")


def _lstm(p: dict[str, Any], state: Any, x: Any) -> tuple[Any, None]:
    h, c = state
    i, f, g, o = jnp.split(x + h @ p["U"] + p["c"], 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None


def _gru(p: dict[str, Any], state: Any, x: Any) -> tuple[Any, None]:
    h, _ = state
    (xr, xz, xn), (hr, hz, hn) = jnp.split(x, 3, axis=1), jnp.split(h @ p["U"] + p["c"], 3, axis=1)
    r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
    h = (1 - z) * jnp.tanh(xn + r * hn) + z * h
    return (h, h), None


def _last(p: dict[str, Any], A: Any, step: Any) -> Any:
    """The last state, with the inputs' products made for all positions at once."""
    zero = jnp.zeros((A.shape[0], p["U"].shape[0]))
    return jax.lax.scan(partial(step, p), (zero, zero), (A @ p["W"] + p["b"]).swapaxes(0, 1))[0][0]


def _forward(params: list[dict[str, Any]], A: Any, layers: tuple[Spec, ...]) -> Any:
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
            case ("lstm" | "gru" as kind, _):
                A = _last(p, A, _lstm if kind == "lstm" else _gru)
            case ("dense", _):
                A = jax.nn.relu(A @ p["W"] + p["b"])
            case _:
                A = A @ p["W"] + p["b"]
    return A


def trainer(task: LayerTraining, n_threads: int | None) -> Job:
    X, y = task.data()
    y = y.astype(np.int32)
    rng = np.random.default_rng(1)
    params = [_parameters(layer, before, rng) for layer, before, _ in walk(task.input_shape, task.layers)]
    zeros = partial(jax.tree.map, jnp.zeros_like, params)

    def loss(params: Any, rows: Any, targets: Any) -> Any:
        Z = _forward(params, rows, task.layers)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(Z), targets[:, None], axis=1))

    @partial(jax.jit, donate_argnums=0)
    def step(carry: Any, rows: Any, targets: Any) -> Any:
        params, state = carry
        return adam(params, jax.grad(loss)(params, rows, targets), state, 0.0)

    carry = (params, (zeros(), zeros(), jnp.zeros((), jnp.float32)))

    def train(n: int) -> None:
        nonlocal carry
        for _ in range(n):
            for batch in np.array_split(rng.permutation(task.n_rows), task.n_rows // task.batch_size):
                carry = step(carry, X[batch], y[batch])
        jax.block_until_ready(carry)

    return train
