"""JAX: one jitted `lax.scan` over the batches of an epoch."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._peers import Unsupported
from benchmarks._tasks import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, Inference, Training
from benchmarks._timing import Job

_ACTIVATIONS = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "leaky_relu": jax.nn.leaky_relu,
    "gelu": partial(jax.nn.gelu, approximate=False),
}
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


def _forward(params: list[tuple[Any, Any]], A: Any, activation: Any) -> Any:
    for W, b in params[:-1]:
        A = activation(A @ W + b)
    W, b = params[-1]
    return A @ W + b


def adam(params: Any, grads: Any, state: Any, decay: float) -> tuple[Any, Any]:
    m, v, t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: _BETA1 * m + (1 - _BETA1) * g, m, grads)
    v = jax.tree.map(lambda v, g: _BETA2 * v + (1 - _BETA2) * g * g, v, grads)
    root = jnp.sqrt(1 - _BETA2**t)
    rate = LEARNING_RATE * root / (1 - _BETA1**t)

    def update(w: Any, m: Any, v: Any) -> Any:
        kept = w - LEARNING_RATE * decay * w if w.ndim == 2 else w
        return kept - rate * m / (jnp.sqrt(v) + _EPSILON * root)

    return jax.tree.map(update, params, m, v), (m, v, t)


def _momentum(params: Any, grads: Any, state: Any) -> tuple[Any, Any]:
    velocity = jax.tree.map(lambda v, g: MOMENTUM * v - LEARNING_RATE * g, state[0], grads)
    return jax.tree.map(jnp.add, params, velocity), (velocity, *state[1:])


_OPTIMIZERS = {"adam": partial(adam, decay=0.0), "adamw": partial(adam, decay=WEIGHT_DECAY), "momentum": _momentum}


def trainer(task: Training, n_threads: int | None) -> Job:
    if task.dtype != "float32":
        raise Unsupported("is measured in float32")
    X, y = map(jnp.asarray, task.data())
    rng = np.random.default_rng(1)
    params = [
        (jnp.asarray(rng.standard_normal((n_in, n_out), np.float32) * np.float32((2 / n_in) ** 0.5)), jnp.zeros(n_out))
        for n_in, n_out in zip(task.sizes[:-1], task.sizes[1:], strict=True)
    ]
    zeros = partial(jax.tree.map, jnp.zeros_like, params)
    activation, update = _ACTIVATIONS[task.activation], _OPTIMIZERS[task.optimizer]

    def loss(params: Any, rows: Any, targets: Any) -> Any:
        Z = _forward(params, rows, activation)
        if task.regression:
            return 0.5 * jnp.mean((Z[:, 0] - targets) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(Z), targets[:, None], axis=1))

    full = task.n_rows // task.batch_size * task.batch_size

    @partial(jax.jit, donate_argnums=0)
    def epoch(carry: Any, X: Any, y: Any, order: Any) -> Any:
        def step(carry: Any, batch: Any) -> tuple[Any, None]:
            params, state = carry
            return update(params, jax.grad(loss)(params, X[batch], y[batch]), state), None

        carry, _ = jax.lax.scan(step, carry, order[:full].reshape(-1, task.batch_size))
        return carry if full == task.n_rows else step(carry, order[full:])[0]

    carry = (params, (zeros(), zeros(), jnp.zeros((), jnp.float32)))
    order = np.arange(task.n_rows, dtype=np.int32)

    def train(n: int) -> None:
        nonlocal carry
        for _ in range(n):
            carry = epoch(carry, X, y, rng.permutation(order))
        jax.block_until_ready(carry)

    return train


def predictor(task: Inference, n_threads: int | None) -> Job:
    X = task.data()
    params = [(jnp.asarray(W), jnp.asarray(b)) for W, b in zip(*task.parameters(), strict=True)]
    forward = jax.jit(lambda params, X: jax.nn.softmax(_forward(params, X, jax.nn.relu)))

    def predict(n: int) -> np.ndarray:
        for _ in range(n):
            out = np.asarray(forward(params, X))
        return out

    return predict
