"""``python -m fastnet``: its default run on the digits data, and its options."""

from __future__ import annotations

import re

import pytest

import fastnet as fn

pytest.importorskip("sklearn")
pytest.importorskip("tqdm")

from fastnet.__main__ import L2, _network, _options, _sklearn_twin, _split, _train, main  # noqa: E402


def test_default_run_is_accurate_and_tells_what_it_did(capsys):
    main([])
    out, err = capsys.readouterr()
    assert float(re.search(r"held-out data: accuracy (0\.\d+)", out).group(1)) > 0.97
    assert re.search(r"speed: [\d,]+ rows per second", out)
    assert "next: --help" in out
    assert "fastnet fit table.csv --target COLUMN -o model.safetensors" in out
    assert "100%" in err
    assert "loss=" in err


@pytest.mark.parametrize("dataset", ["breast_cancer", "diabetes"])
@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_other_data_and_optimizers(dataset, optimizer, capsys):
    arguments = [
        "--dataset",
        dataset,
        "--optimizer",
        optimizer,
        "--epochs",
        "3",
        "--hidden",
        "8",
        "4",
        "--activation",
        "gelu",
        "--threads",
        "1",
    ]
    main(arguments)
    out = capsys.readouterr().out
    assert re.search(r"held-out data: (accuracy 0\.\d+|R2 -?\d\.\d+)", out)
    assert "8 x 4" in out


def test_no_hidden_layer(capsys):
    main(["--dataset", "breast_cancer", "--hidden", "--epochs", "1"])
    assert "30 x 2" in capsys.readouterr().out


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize(("dataset", "twin"), [("breast_cancer", "MLPClassifier"), ("diabetes", "MLPRegressor")])
def test_compare_shows_the_time_of_scikit_learn(dataset, twin, optimizer, capsys):
    main(["--compare", "--dataset", dataset, "--optimizer", optimizer, "--activation", "sigmoid", "--epochs", "2"])
    out = capsys.readouterr().out
    score = r"(accuracy 0\.\d+|R2 -?\d\.\d+)"
    assert re.search(rf"took [\d.e-]+ s; scikit-learn's {twin} took [\d.e-]+ s, [\d.e+]+ times as long: {score}", out)


def test_the_compared_network_minimises_the_same_loss():
    options = _options(["--compare", "--optimizer", "lbfgs", "--hidden", "--epochs", "2000"])
    X, _, y, _ = _split("digits")
    net, twin = _network(options, X.shape[1], y), _sklearn_twin(options, len(X))
    _train(net, options, X, y)
    loss = net.loss(X, y) + L2 / 2 * sum((W.astype(float) ** 2).sum() for W in net.weights)
    assert loss == pytest.approx(twin.fit(X, y).loss_, rel=1e-2)


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"fastnet {fn.__version__}\n"


def test_defaults_in_the_help_can_be_typed(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    defaults = re.findall(r"\(default: (.+?)\)", text)
    assert "fastnet fit table.csv --target COLUMN" in text
    assert defaults == ["digits", "60", "128", "relu", "adam", "0", "as many as the machine allows"]


def test_commands_on_tables_are_those_of_fastnet(capsys):
    pytest.importorskip("click")
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "missing.csv", "--target", "y"])
    assert exit_.value.code == 2
    assert capsys.readouterr().err == "fastnet: Invalid value for 'TABLE': Path 'missing.csv' does not exist.\n"
    with pytest.raises(SystemExit):
        main(["frobnicate"])
    assert "has no command 'frobnicate'; it has 'fit', 'predict', 'evaluate', 'compare'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "iris"], "invalid choice: 'iris'"),
        (["--optimizer", "best"], "invalid choice: 'best'"),
        (["--activation", "softmax"], "invalid choice: 'softmax'"),
        (["--epochs", "0"], "must be at least 1, got 0"),
        (["--compare", "--activation", "gelu"], "scikit-learn has no gelu; it has identity, relu, sigmoid, tanh"),
        (["--compare", "--optimizer", "adamw"], "scikit-learn has no adamw; it has sgd, adam, lbfgs"),
        (["--epochs", "few"], "--epochs: must be an integer, got 'few'"),
        (["--seed", "-1"], "--seed: must be from 0 to 4294967295, got -1"),
        (["--compare", "--seed", "5000000000"], "--seed: must be from 0 to 4294967295, got 5000000000"),
        (["--hidden", "-3"], "expected|must be at least 1|unrecognized"),
    ],
)
def test_bad_arguments_end_with_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert re.search(message, capsys.readouterr().err)
