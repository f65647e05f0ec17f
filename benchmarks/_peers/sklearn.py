"""scikit-learn's MLPClassifier and MLPRegressor, without L2 penalty and early stopping."""

from __future__ import annotations

from itertools import count

from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks._peers import Unsupported, _estimators
from benchmarks._tasks import LEARNING_RATE, MOMENTUM, Inference, Training
from benchmarks._timing import Job

_ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic"}
_SOLVERS = {"adam": "adam", "momentum": "sgd"}


def trainer(task: Training, n_threads: int | None) -> Job:
    if task.activation not in _ACTIVATIONS or task.optimizer not in _SOLVERS:
        raise Unsupported(f"has no {task.activation if task.activation not in _ACTIVATIONS else task.optimizer}")
    X, y = task.data()
    model = (MLPRegressor if task.regression else MLPClassifier)(
        hidden_layer_sizes=task.hidden,
        activation=_ACTIVATIONS[task.activation],
        solver=_SOLVERS[task.optimizer],
        alpha=0.0,
        batch_size=task.batch_size,
        learning_rate_init=LEARNING_RATE,
        momentum=MOMENTUM,
        nesterovs_momentum=False,
        tol=0.0,
        n_iter_no_change=10**9,
    )
    seeds = count()

    def train(n: int) -> None:
        model.set_params(max_iter=n, random_state=next(seeds)).fit(X, y)

    return train


def predictor(task: Inference, n_threads: int | None) -> Job:
    return _estimators.predictor(MLPClassifier, task)
