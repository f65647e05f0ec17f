"""Files that earlier versions wrote load, and predict what they predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import fastnet as fn
from fastnet import MLPClassifier
from fastnet.persistence import FORMAT_VERSION

FOLDERS = sorted((Path(__file__).parent / "golden").glob("format-*"))
FILES = [path for folder in FOLDERS for path in sorted(folder.glob("*.safetensors")) if path.name != "expected.safetensors"]


def test_there_are_files_of_every_format():
    assert [folder.name for folder in FOLDERS] == [f"format-{number}" for number in range(1, FORMAT_VERSION + 1)]
    assert len(FILES) >= 9 * FORMAT_VERSION


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}/{path.stem}" for path in FILES])
def test_golden_file(path, mmap):
    tensors = safetensors.numpy.load_file(path.parent / "expected.safetensors")
    model = fn.load(path, mmap=mmap)
    X, expected = tensors["X"], tensors[path.stem]
    if isinstance(model, fn.Network):
        got = model.forward(X)
    else:
        got = model.predict_proba(X) if isinstance(model, MLPClassifier) else model.predict(X)
    assert got.dtype == expected.dtype
    single = model.dtype == np.float32 if isinstance(model, fn.Network) else model.coefs_[0].dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=2e-6 if single else 1e-12, atol=2e-6 if single else 1e-13)


@pytest.mark.parametrize(("name", "quantiles"), [("regressor-rmse", None), ("regressor-quantiles", (0.1, 0.9))])
def test_golden_tables_without_quantiles(name, quantiles):
    """Of versions in which the parameters alone said which quantiles are predicted."""
    folder = FOLDERS[0].parent / "tables-without-quantiles"
    tensors = safetensors.numpy.load_file(folder / "expected.safetensors")
    model = fn.load(folder / f"{name}.safetensors")
    assert model.quantiles_ == quantiles
    np.testing.assert_allclose(model.predict(tensors["X"]), tensors[name], rtol=2e-6, atol=2e-6)


def test_labels_and_parameters_of_golden_estimators():
    folder = FOLDERS[0]
    words = fn.load(folder / "classifier-strings.safetensors")
    assert words.classes_.tolist() == ["größer", "no", "yes"]
    assert len(words.validation_scores_) == 5
    assert fn.load(folder / "classifier-binary.safetensors").class_weight == {-1: 2.0, 1: 1.0}
    regressor = fn.load(folder / "regressor.safetensors")
    assert regressor.loss == fn.Huber(0.5)
    assert regressor.solver == fn.AdamW(fn.LinearWarmup(fn.ExponentialDecay(0.01)), weight_decay=0.1)


def test_a_golden_checkpoint_can_be_continued():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 4))
    network = fn.Network([fn.Dense(5, "silu"), fn.Dense(4, "identity")], n_inputs=4, random_state=0)
    path = FOLDERS[0] / "checkpoint.safetensors"

    class Memory(fn.Callback):
        """Stands in for the Checkpoint callback, so that nothing is written."""

        def state_dict(self) -> dict:
            return {"best_value": 0.0}

        def load_state_dict(self, state: dict) -> None:
            pass

    Memory.__name__ = "Checkpoint"
    callbacks = [fn.EarlyStopping(patience=9), Memory()]
    history = network.fit(X, X, epochs=4, validation_data=(X, X), callbacks=callbacks, resume_from=path)
    assert len(history) == 4
