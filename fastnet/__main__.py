"""``python -m fastnet``: train a network on real data and say how well, how fast, and what to try next."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

import fastnet as fn
from fastnet.activations import ACTIVATIONS
from fastnet.optimizers import LBFGS, OPTIMIZERS

#: Name -> whether it is a classification, name of scikit-learn's loader.
DATASETS = {"digits": (True, "load_digits"), "breast_cancer": (True, "load_breast_cancer"), "diabetes": (False, "load_diabetes")}

#: First learning rate of the rules whose steps have the gradient's size, for standardised data.
RATES = {"sgd": 0.03, "adagrad": 0.03}


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _parser() -> argparse.ArgumentParser:
    description = "Train a multilayer perceptron on one of scikit-learn's data sets."
    hidden_activations = sorted(set(ACTIVATIONS) - {"softmax"})
    parser = argparse.ArgumentParser(
        prog="python -m fastnet", description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--dataset", choices=DATASETS, default="digits", help="what to learn")
    parser.add_argument("--epochs", type=_positive, default=60, help="passes over the data")
    parser.add_argument("--hidden", type=_positive, nargs="*", default=[128], metavar="UNITS", help="units of each hidden layer")
    parser.add_argument("--activation", choices=hidden_activations, default="relu", help="of the hidden layers")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adam", help="update rule")
    parser.add_argument("--seed", type=int, default=0, help="of the initial weights and the order of rows")
    parser.add_argument("--threads", type=_positive, default=None, help="most threads to use; None: what the machine allows")
    return parser


def _split(dataset: str) -> tuple[np.ndarray, ...]:
    """Standardised features and targets (of a regression, standardised too) for training and, a fixed quarter, for testing."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    classifies, loader = DATASETS[dataset]
    X, y = getattr(datasets, loader)(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=42, stratify=y if classifies else None)
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = (scaler.transform(part).astype(np.float32) for part in (X_train, X_test))
    if not classifies:
        y_train, y_test = ((part - y_train.mean()) / y_train.std() for part in (y_train, y_test))
    return X_train, X_test, y_train, y_test


def _score(net: fn.Network, X: np.ndarray, y: np.ndarray, classifies: bool) -> str:
    predicted = net.predict(X)
    if classifies:
        return f"accuracy {np.mean(predicted == y):.4f}"
    return f"R2 {1 - np.sum((predicted - y) ** 2) / np.sum((y - y.mean()) ** 2):.4f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; `arguments` instead of those of the process."""
    options = _parser().parse_args(arguments)
    classifies = DATASETS[options.dataset][0]
    X_train, X_test, y_train, y_test = _split(options.dataset)
    output = fn.Dense(int(y_train.max()) + 1, "softmax") if classifies else fn.Dense(1, "identity")
    hidden = [fn.Dense(n, options.activation) for n in options.hidden]
    net = fn.Network([*hidden, output], X_train.shape[1], random_state=options.seed)
    print(f"{options.dataset}: {len(X_train)} rows to train on, {len(X_test)} held out\n{net.summary()}")
    optimizer = fn.optimizers.get(options.optimizer)
    by_batches: dict[str, Any] = (
        {} if isinstance(optimizer, LBFGS) else {"progress": True, "learning_rate": fn.Cosine(RATES.get(optimizer.name, 3e-3))}
    )
    common: dict[str, Any] = {"epochs": options.epochs, "random_state": options.seed, "n_threads": options.threads, "l2": 1e-3}
    history = net.fit(X_train, y_train, optimizer=optimizer, **common, **by_batches)
    print(f"held-out data: {_score(net, X_test, y_test, classifies)}")
    if by_batches:
        print(f"speed: {sum(history.n_rows) / sum(history.seconds):,.0f} rows per second")
    print("next: python -m fastnet --help, or with --dataset breast_cancer, --hidden 64 64, --activation gelu, --optimizer lbfgs")


if __name__ == "__main__":
    main()
