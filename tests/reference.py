"""All of fastnet's mathematics in plain NumPy: the reference of the tests.

Rows are datapoints. Layer l has weights W[l] (n_in, n_out) and biases b[l] (n_out,)::

    Z[l] = A[l-1] @ W[l] + b[l]        A[l] = g[l](Z[l])        J = sum_i w_i loss(A[L]_i, y_i) / sum_i w_i

Everything is written for clarity, and is in the dtype of the arguments. An activation is a pair (name, alpha), a loss a pair
(name, parameter): delta of huber, label smoothing of cross_entropy, level of each output of quantile.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf, expit, xlog1py, xlogy

# --- activations: g(z) and g'(z) ------------------------------------------------------------------------------------------------


def phi(z):
    """Density of the normal distribution."""
    return np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def Phi(z):
    """Distribution function of the normal distribution."""
    return (1 + erf(z / np.sqrt(2))) / 2


def softplus(z):
    return np.logaddexp(0, z)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def elu(z, alpha):
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def d_elu(z, alpha):
    return np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0)))


SCALE, ALPHA = 1.0507009873554804934, 1.6732632423543772848  # SELU

ACTIVATIONS = {
    "identity": (lambda z, alpha: z, lambda z, alpha: np.ones_like(z)),
    "sigmoid": (lambda z, alpha: expit(z), lambda z, alpha: expit(z) * expit(-z)),
    "tanh": (lambda z, alpha: np.tanh(z), lambda z, alpha: 1 - np.tanh(z) ** 2),
    "relu": (lambda z, alpha: np.maximum(z, 0), lambda z, alpha: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z, alpha: np.where(z > 0, z, alpha * z), lambda z, alpha: np.where(z > 0, 1.0, alpha)),
    "elu": (elu, d_elu),
    "selu": (lambda z, alpha: SCALE * elu(z, ALPHA), lambda z, alpha: SCALE * d_elu(z, ALPHA)),
    "gelu": (lambda z, alpha: z * Phi(z), lambda z, alpha: Phi(z) + z * phi(z)),
    "silu": (lambda z, alpha: z * expit(z), lambda z, alpha: expit(z) * (1 + z * expit(-z))),
    "mish": (
        lambda z, alpha: z * np.tanh(softplus(z)),
        lambda z, alpha: np.tanh(softplus(z)) + z * expit(z) * (1 - np.tanh(softplus(z)) ** 2),
    ),
    "softplus": (lambda z, alpha: softplus(z), lambda z, alpha: expit(z)),
    "exponential": (lambda z, alpha: np.exp(z), lambda z, alpha: np.exp(z)),
    "hardswish": (
        lambda z, alpha: z * np.minimum(np.maximum(z + 3, 0), 6) / 6,
        lambda z, alpha: np.where(z <= -3, 0.0, np.where(z >= 3, 1.0, (2 * z + 3) / 6)),
    ),
}


def activate(activation, Z):
    """A = g(Z)."""
    name, alpha = activation
    return softmax(Z) if name == "softmax" else ACTIVATIONS[name][0](Z, alpha)


def through(activation, Z, dA):
    """dZ = dA times the Jacobian of g at Z."""
    name, alpha = activation
    if name == "softmax":
        A = softmax(Z)
        return A * (dA - (A * dA).sum(axis=1, keepdims=True))
    return dA * ACTIVATIONS[name][1](Z, alpha)


# --- losses: l(a, y) and dl/da, elementwise -------------------------------------------------------------------------------------


def smooth(y, share):
    return (1 - share) * y + share / y.shape[1]


LOSSES = {
    "squared_error": (lambda a, y, p: (a - y) ** 2 / 2, lambda a, y, p: a - y),
    "binary_cross_entropy": (lambda a, y, p: -xlogy(y, a) - xlog1py(1 - y, -a), lambda a, y, p: (1 - y) / (1 - a) - y / a),
    "cross_entropy": (lambda a, y, p: -xlogy(smooth(y, p), a), lambda a, y, p: -smooth(y, p) / a),
    "poisson": (lambda a, y, p: xlogy(y, y / a) - y + a, lambda a, y, p: 1 - y / a),
    "absolute_error": (lambda a, y, p: np.abs(a - y), lambda a, y, p: np.sign(a - y)),
    "huber": (
        lambda a, y, p: np.where(np.abs(a - y) <= p, (a - y) ** 2 / 2, p * (np.abs(a - y) - p / 2)),
        lambda a, y, p: np.clip(a - y, -p, p),
    ),
    "log_cosh": (lambda a, y, p: np.log(np.cosh(a - y)), lambda a, y, p: np.tanh(a - y)),
    "quantile": (
        lambda a, y, p: np.where(y >= a, p * (y - a), (1 - p) * (a - y)),
        lambda a, y, p: np.where(y > a, -p, np.where(y < a, 1 - p, 0.0)),
    ),
}


def mean_loss(loss, A, y, w=None):
    """J."""
    name, parameter = loss
    return np.average(LOSSES[name][0](A, y, parameter).sum(axis=1), weights=w)


# --- the network ----------------------------------------------------------------------------------------------------------------


def forward(layers, weights, biases, X):
    """[A[0], ..., A[L]] and [Z[1], ..., Z[L]]."""
    As, Zs = [X], []
    for activation, W, b in zip(layers, weights, biases, strict=True):
        Zs.append(As[-1] @ W + b)
        As.append(activate(activation, Zs[-1]))
    return As, Zs


def loss_and_grad(layers, weights, biases, loss, X, y, w=None, l2=0.0):
    """J + l2/2 ||W||^2 and its gradients (dW, db), by backpropagation."""
    As, Zs = forward(layers, weights, biases, X)
    name, parameter = loss
    w = np.ones(len(X)) if w is None else w
    J = mean_loss(loss, As[-1], y, w) + l2 / 2 * sum((W**2).sum() for W in weights)
    dA = LOSSES[name][1](As[-1], y, parameter) * (w / w.sum())[:, None]
    dW, db = [], []
    for l in reversed(range(len(layers))):
        dZ = through(layers[l], Zs[l], dA)
        dW.insert(0, As[l].T @ dZ + l2 * weights[l])
        db.insert(0, dZ.sum(axis=0))
        dA = dZ @ weights[l].T
    return J, dW, db


# --- optimisers: one update of parameters p with gradient g, number t = 1, 2, ..., state s  -------------------------------------


def sgd(p, g, t, s, lr):
    return p - lr * g


def momentum(p, g, t, s, lr, mu):
    s["v"] = mu * s.get("v", 0) - lr * g
    return p + s["v"]


def nesterov(p, g, t, s, lr, mu):
    s["v"] = mu * s.get("v", 0) - lr * g
    return p + mu * s["v"] - lr * g


def adagrad(p, g, t, s, lr, eps):
    s["G"] = s.get("G", 0) + g * g
    return p - lr * g / (np.sqrt(s["G"]) + eps)


def rmsprop(p, g, t, s, lr, rho, eps):
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    return p - lr * g / (np.sqrt(s["v"]) + eps)


def adam(p, g, t, s, lr, beta1, beta2, eps, eps_hat=0.0):
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g * g
    if eps_hat:
        return p - lr * np.sqrt(1 - beta2**t) / (1 - beta1**t) * s["m"] / (np.sqrt(s["v"]) + eps)
    return p - lr * (s["m"] / (1 - beta1**t)) / (np.sqrt(s["v"] / (1 - beta2**t)) + eps)


def lion(p, g, t, s, lr, beta1, beta2):
    m = s.get("m", 0)
    s["m"] = beta2 * m + (1 - beta2) * g
    return p - lr * np.sign(beta1 * m + (1 - beta1) * g)


RULES = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "lion": lion,
}


# --- training -------------------------------------------------------------------------------------------------------------------


def flat(weights, biases):
    """[all W | all b]."""
    return np.concatenate([a.ravel() for a in (*weights, *biases)])


def unflat(vector, sizes):
    """Weights and biases of a flat vector."""
    shapes = [*zip(sizes, sizes[1:], strict=False), *((n,) for n in sizes[1:])]
    parts, start = [], 0
    for shape in shapes:
        n = int(np.prod(shape))
        parts.append(vector[start : start + n].reshape(shape))
        start += n
    return parts[: len(sizes) - 1], parts[len(sizes) - 1 :]


def train(layers, sizes, p, loss, X, y, *, rule, hyper, rates, batches, w=None, l2=0.0, weight_decay=0.0, max_grad_norm=None):
    """Update the flat parameters p with each of the batches, given as row numbers; return p and the batches' losses J.

    J is taken before the update and without penalty; the gradient is clipped before the gradient of the penalty is added.
    """
    n_weights = sum(a * b for a, b in zip(sizes, sizes[1:], strict=False))
    memory, losses = {}, []
    for t, (rows, lr) in enumerate(zip(batches, rates, strict=True), 1):
        weights, biases = unflat(p, sizes)
        v = None if w is None else w[rows]
        J, dW, db = loss_and_grad(layers, weights, biases, loss, X[rows], y[rows], v)
        losses.append(J)
        g = flat(dW, db)
        norm = np.sqrt((g**2).sum())
        if max_grad_norm is not None and norm > max_grad_norm:
            g = g * (max_grad_norm / norm)
        g[:n_weights] += l2 * p[:n_weights]
        decay = np.zeros_like(p)
        decay[:n_weights] = lr * weight_decay * p[:n_weights]
        p = RULES[rule](p, g, t, memory, lr, *hyper) - decay
    return p, losses


# --- dropout's masks ------------------------------------------------------------------------------------------------------------


def mix64(x):
    """The finaliser of splitmix64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def mix32(x):
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def dropout_mask(rate, seed, step, layer, m, n):
    """What the output (m, n) of a layer below number 256 is multiplied by: 0 with probability `rate`, else 1 / (1 - rate)."""
    rows, units = np.arange(m, dtype=np.uint64)[:, None], np.arange(n, dtype=np.uint32)
    of_step = mix64(np.array([seed ^ (layer << 56)], np.uint64)) ^ np.uint64(step)
    of_rows = mix64(mix64(of_step) ^ rows).astype(np.uint32)
    stay = mix32(of_rows + units * np.uint32(0x9E3779B9)) >= np.uint32(rate * 2**32)
    return stay / (1 - rate)
