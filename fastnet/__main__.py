"""``python -m fastnet``: train a network on real data, print its accuracy and speed, and what to try next."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

import fastnet as fn
from fastnet import cli
from fastnet.activations import ACTIVATIONS
from fastnet.optimizers import LBFGS, OPTIMIZERS

#: Name -> whether it is a classification, and the name of scikit-learn's loader.
DATASETS = {"digits": (True, "load_digits"), "breast_cancer": (True, "load_breast_cancer"), "diabetes": (False, "load_diabetes")}

#: First learning rate of the rules whose steps are proportional to the gradient, for standardised data.
RATES = {"sgd": 0.03, "adagrad": 0.03}
RATE = 3e-3

#: What this command leaves to another.
TABLES = "a table of your own: fastnet fit table.csv --target COLUMN -o model.safetensors (pip install 'fastnet-cpu[cli]')"

#: What scikit-learn takes.
GREATEST_SEED = 2**32 - 1

BATCH_SIZE = 32
L2 = 1e-3

#: What scikit-learn has too: fastnet's name -> scikit-learn's.
SKLEARN_ACTIVATIONS = {"identity": "identity", "relu": "relu", "sigmoid": "logistic", "tanh": "tanh"}
SKLEARN_SOLVERS = ("sgd", "adam", "lbfgs")


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from None


def _positive(text: str) -> int:
    value = _integer(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _seed(text: str) -> int:
    value = _integer(text)
    if not 0 <= value <= GREATEST_SEED:
        raise argparse.ArgumentTypeError(f"must be from 0 to {GREATEST_SEED}, got {value}")
    return value


def _parser() -> argparse.ArgumentParser:
    description = "Train a multilayer perceptron on one of scikit-learn's data sets."
    hidden_activations = sorted(set(ACTIVATIONS) - {"softmax"})
    parser = argparse.ArgumentParser(prog="python -m fastnet", description=description, epilog=f"For {TABLES}")
    add = parser.add_argument
    add("--version", action="version", version=f"fastnet {fn.__version__}")
    add("--dataset", choices=DATASETS, default="digits", help="data to learn (default: %(default)s)")
    add("--epochs", type=_positive, default=60, metavar="N", help="passes over the data (default: %(default)s)")
    hidden_help = "units of each hidden layer; none after --hidden: no hidden layer (default: 128)"
    add("--hidden", type=_positive, nargs="*", default=[128], metavar="UNITS", help=hidden_help)
    activation_help = f"of the hidden layers: {', '.join(hidden_activations)} (default: %(default)s)"
    add("--activation", choices=hidden_activations, default="relu", metavar="NAME", help=activation_help)
    add("--optimizer", choices=OPTIMIZERS, default="adam", help="update rule (default: %(default)s)")
    add("--seed", type=_seed, default=0, metavar="N", help="of the initial weights and the order of rows (default: %(default)s)")
    add("--threads", type=_positive, metavar="N", help="most threads to use (default: as many as the machine allows)")
    add("--compare", action="store_true", help="train scikit-learn's network on the same data, too, and print its time beside")
    return parser


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.compare and options.activation not in SKLEARN_ACTIVATIONS:
        parser.error(f"--compare: scikit-learn has no {options.activation}; it has {', '.join(SKLEARN_ACTIVATIONS)}")
    if options.compare and options.optimizer not in SKLEARN_SOLVERS:
        parser.error(f"--compare: scikit-learn has no {options.optimizer}; it has {', '.join(SKLEARN_SOLVERS)}")
    return options


def _split(dataset: str) -> tuple[np.ndarray, ...]:
    """Features and targets for training and for testing (a fixed quarter), standardised, in regression the targets too."""
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


def _score(model: Any, X: np.ndarray, y: np.ndarray, classifies: bool) -> str:
    predicted = model.predict(X)
    if classifies:
        return f"accuracy {np.mean(predicted == y):.4f}"
    return f"R2 {1 - np.sum((predicted - y) ** 2) / np.sum((y - y.mean()) ** 2):.4f}"


def _sklearn_twin(options: argparse.Namespace, n_rows: int) -> Any:
    """scikit-learn's estimator with the same layers, batches, penalty and number of epochs, and no early stopping."""
    from sklearn import neural_network

    classifies = DATASETS[options.dataset][0]
    batch_size = n_rows if options.optimizer == "lbfgs" else min(BATCH_SIZE, n_rows)
    return (neural_network.MLPClassifier if classifies else neural_network.MLPRegressor)(
        hidden_layer_sizes=options.hidden,
        activation=SKLEARN_ACTIVATIONS[options.activation],
        solver=options.optimizer,
        alpha=L2 * batch_size,  # scikit-learn divides it by the rows of a batch
        batch_size=batch_size,
        learning_rate_init=RATES.get(options.optimizer, RATE),
        momentum=0.0,
        max_iter=options.epochs,
        tol=0.0,
        n_iter_no_change=options.epochs + 1,
        random_state=options.seed,
    )


def _compare(options: argparse.Namespace, seconds: float, parts: tuple[np.ndarray, ...]) -> str:
    """Train scikit-learn's estimator, and say how long it took compared with fastnet's `seconds`, and its score."""
    from threadpoolctl import threadpool_limits

    X_train, X_test, y_train, y_test = parts
    twin = _sklearn_twin(options, len(X_train))
    start = time.perf_counter()
    with warnings.catch_warnings(), threadpool_limits(options.threads):
        warnings.simplefilter("ignore")  # scikit-learn warns if all epochs were used
        twin.fit(X_train, y_train)
    theirs = time.perf_counter() - start
    return (
        f"training took {seconds:.3g} s; scikit-learn's {type(twin).__name__} took {theirs:.3g} s, {theirs / seconds:.3g} times "
        f"as long: {_score(twin, X_test, y_test, DATASETS[options.dataset][0])}"
    )


def _network(options: argparse.Namespace, n_features: int, y: np.ndarray) -> fn.Network:
    output = fn.Dense(int(y.max()) + 1, "softmax") if DATASETS[options.dataset][0] else fn.Dense(1, "identity")
    hidden = [fn.Dense(n, options.activation) for n in options.hidden]
    return fn.Network([*hidden, output], n_features, random_state=options.seed)


def _train(net: fn.Network, options: argparse.Namespace, X: np.ndarray, y: np.ndarray) -> float:
    """Train as the options say, print the speed, and return the seconds that it took."""
    optimizer = fn.optimizers.get(options.optimizer)
    by_batches: dict[str, Any] = {}
    if not isinstance(optimizer, LBFGS):
        rate = fn.Cosine(RATES.get(optimizer.name, RATE))
        by_batches = {"batch_size": BATCH_SIZE, "learning_rate": rate, "progress": not options.compare}  # a bar takes time
    common: dict[str, Any] = {"epochs": options.epochs, "random_state": options.seed, "n_threads": options.threads, "l2": L2}
    start = time.perf_counter()
    history = net.fit(X, y, optimizer=optimizer, **common, **by_batches)
    seconds = time.perf_counter() - start
    if by_batches:
        print(f"speed: {sum(history.n_rows) / sum(history.seconds):,.0f} rows per second")
    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, with `arguments` instead of those of the process; commands on tables are those of ``fastnet``."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and not arguments[0].startswith("-"):
        cli.main(arguments)
        return
    options = _options(arguments)
    parts = X_train, X_test, y_train, y_test = _split(options.dataset)
    net = _network(options, X_train.shape[1], y_train)
    print(f"{options.dataset}: {len(X_train)} rows to train on, {len(X_test)} held out\n{net.summary()}")
    seconds = _train(net, options, X_train, y_train)
    print(f"held-out data: {_score(net, X_test, y_test, DATASETS[options.dataset][0])}")
    if options.compare:
        print(_compare(options, seconds, parts))
    print("next: --help lists the options; try --compare, --dataset breast_cancer, --hidden 64 64 or --activation gelu")
    print(TABLES)


if __name__ == "__main__":
    main()
