"""``python -m fastnet``: its default run on the digits data, and its options."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("tqdm")

from fastnet.__main__ import main  # noqa: E402


def test_default_run_is_accurate_and_tells_what_it_did(capsys):
    main([])
    out, err = capsys.readouterr()
    assert float(re.search(r"held-out data: accuracy (0\.\d+)", out).group(1)) > 0.97
    assert re.search(r"speed: [\d,]+ rows per second", out)
    assert "next: python -m fastnet" in out
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "iris"], "invalid choice: 'iris'"),
        (["--optimizer", "best"], "invalid choice: 'best'"),
        (["--activation", "softmax"], "invalid choice: 'softmax'"),
        (["--epochs", "0"], "must be at least 1, got 0"),
        (["--hidden", "-3"], "expected|must be at least 1|unrecognized"),
    ],
)
def test_bad_arguments_end_with_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert re.search(message, capsys.readouterr().err)
