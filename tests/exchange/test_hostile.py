"""Malicious and damaged files: a valid model or a ValueError, whatever they contain."""

from __future__ import annotations

import json
import random
import resource
import tracemalloc
from collections.abc import Callable
from typing import Any

import kinds
import mutations
import numpy as np
import pytest
import safetensors
import safetensors.numpy

import fastnet as fn
from fastnet import MLPClassifier, MLPRegressor
from fastnet.checkpoint import load as load_checkpoint
from fastnet.persistence import _container, _format, _load


def _load_bytes(raw: bytes):
    """Do what `fastnet.load` does once it has the file's bytes."""
    file = _container.read(bytearray(raw))
    return _load.build(file, *_format.parse(file.metadata))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[bytes]:
    """Valid files of every kind, small."""
    folder = tmp_path_factory.mktemp("valid")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), np.arange(30) % 3
    fn.Network([fn.Dense(1, "sigmoid")], n_inputs=2, dtype="float64", random_state=0).save(folder / "perceptron")
    network = fn.Network([fn.Dense(4, fn.ELU(0.5), dropout=0.5), fn.Dense(3, "softmax")], n_inputs=3, random_state=0)
    network.save(folder / "network")
    network.fit(X, y, epochs=2, validation_data=(X, y), callbacks=[fn.EarlyStopping(), fn.Checkpoint(folder)])
    pair = fn.EncoderDecoder([fn.Positions(), fn.Dense(2)], [fn.Positions(), fn.CrossAttention(1)])
    fn.Network([pair], input_shape=(3, 2), source_shape=(2, 1), random_state=0).save(folder / "pair")
    options = {"max_iter": 2, "random_state": 0, "tol": 0.0}
    with pytest.warns(UserWarning):
        MLPClassifier((4,), early_stopping=True, **options).fit(X, np.array(["a", "bc", "d"])[y]).save(folder / "classifier")
        MLPClassifier((4,), class_weight={0: 2.0}, **options).fit(X, y).save(folder / "integers")
        solver = fn.Adam(fn.LinearWarmup(0.01))
        regressor = MLPRegressor(hidden_layer_sizes=(4, 2), activation=["tanh", fn.GELU()], solver=solver, **options).fit(X, X)
        regressor.feature_names_in_ = np.array(["a", "b", "c"], object)
        regressor.save(folder / "regressor")
        MLPRegressor("quantile", (2,), quantile=[0.1, 0.9], scale_target=True, **options).fit(X, X).save(folder / "quantiles")
    for name, network in kinds.networks().items():
        network.save(folder / name)
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_valid_files_load(files):
    kinds = [type(_load_bytes(raw)).__name__ for raw in files]
    assert sorted(set(kinds)) == ["MLPClassifier", "MLPRegressor", "Network"] and kinds.count("Network") == 11


@pytest.mark.filterwarnings("ignore:X does not have valid feature names", "ignore:overflow encountered in multiply")
@pytest.mark.parametrize(("seed", "n_mutations"), [(0, 8_000), pytest.param(1, 100_000, marks=pytest.mark.slow)])
def test_mutated_files_are_refused_or_predict(files, seed, n_mutations):
    """Every mutation of every kind of file ends in a ValueError, or in a model that predicts."""
    rng = random.Random(seed)
    apart = [mutations.take_apart(raw) for raw in files]
    loaded = refused = 0
    for number in range(n_mutations):
        mutate = mutations.MUTATIONS[number % len(mutations.MUTATIONS)]
        raw = mutate(rng.choice(apart), rng)
        try:
            model = _load_bytes(raw)
        except ValueError as error:
            assert str(error)
            refused += 1
        else:
            _check_valid(model)
            loaded += 1
    assert loaded > n_mutations // 20 and refused > n_mutations // 2  # both outcomes are exercised


def _check_valid(model) -> None:
    if isinstance(model, fn.Network):
        kinds.assert_predicts(model)
    else:
        assert len(model.predict(np.full((2, model.n_features_in_), 0.5, model.coefs_[0].dtype))) == 2


def test_what_is_accepted_the_library_accepts_too(files):
    """No mutated file that the safetensors library calls broken is accepted by fastnet."""
    rng = random.Random(1)
    apart = [mutations.take_apart(raw) for raw in files]
    agreed = 0
    for number in range(2000):
        raw = mutations.MUTATIONS[number % len(mutations.MUTATIONS)](rng.choice(apart), rng)
        try:
            _container.read(bytearray(raw))
        except ValueError:
            continue
        safetensors.deserialize(raw)
        agreed += 1
    assert agreed > 100


def _network_file(layers, n_inputs, tensors) -> bytes:
    about = {"format": 1, "version": "1", "kind": "network", "dtype": "float32", "n_inputs": n_inputs, "layers": layers}
    return safetensors.numpy.save(tensors, {"fastnet": json.dumps(about)})


def test_a_small_file_cannot_ask_for_much_memory(files):
    """Sizes, labels and nesting take memory only in proportion to the file: at most 64 times its bytes plus 8 MiB."""
    dense = {"object": ["Dense", {"n_units": 2**31 - 1, "activation": {"object": ["ReLU", {}]}}]}
    labels = {"labels": ["str", ["x" * 200_000, *[""] * 100_000]]}
    classifier = next(raw for raw in files if b'\\"kind\\":\\"classifier\\"' in raw)
    ensemble, recurrent = (next(raw for raw in files if name in raw) for name in (b"ensemble", b"Bidirectional"))
    wide = {"object": ["LSTM", {"n_units": 2**27, "return_sequences": False}]}
    pair = next(raw for raw in files if b"EncoderDecoder" in raw)
    hostile = [
        *(_described(pair, lambda about, n=n: about.update(source=[2, n])) for n in (2**20, 2**30 - 1, 2**63)),
        _network_file([dense] * 1000, 2**31 - 1, {"W1": np.zeros((1, 1), "f4")}),
        _network_file([dense], 1, {"W1": np.zeros((1, 1), "f4"), "b1": np.zeros(1, "f4")}),
        _described(ensemble, lambda about: about.update(n_inputs=2**31 - 1)),
        _described(recurrent, lambda about: about["layers"][0].update(object=["Bidirectional", {"layer": wide}])),
        _described(classifier, lambda about: about.update(classes=labels)),
        _described(classifier, lambda about: about["parameters"].update(class_weight=[[]] * 700_000)),
        mutations.put_together(b"[" * 1_000_000, b""),
        mutations.put_together(b'{"a":' * 1_000_000, b""),
        mutations.put_together(b'{"a":"' + b"x" * 1_000_000, b""),
        mutations.put_together({"W": {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]}}, b""),
        mutations.put_together({"W": {"dtype": "F32", "shape": [1] * 500_000, "data_offsets": [0, 4]}}, bytes(4)),
        mutations.put_together(b'{"W":' + b"9" * 1_000_000 + b"}", b""),
    ]
    for raw in hostile:
        tracemalloc.start()
        try:
            with pytest.raises(ValueError):
                _load_bytes(raw)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 64 * len(raw) + (8 << 20)


def test_keys_of_equal_hashes_are_refused(files):
    """They would make building a dict quadratic: 20,000 of them took seconds."""
    classifier = next(raw for raw in files if b'\\"kind\\":\\"classifier\\"' in raw)
    keys = {"dict": [[i * (2**61 - 1), 1.0] for i in range(1, 1000)]}
    with pytest.raises(ValueError, match="keys of a dict have equal hashes"):
        _load_bytes(_described(classifier, lambda about: about["parameters"].update(class_weight=keys)))


def _described(raw: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The file with its description changed."""
    header, data = mutations.take_apart(raw)
    about = json.loads(header["__metadata__"]["fastnet"])
    change(about)
    header["__metadata__"]["fastnet"] = json.dumps(about)
    return mutations.put_together(header, data)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({"mean_": None}, "the target scaler must have finite float64 vectors mean_, var_, scale_, n_samples_seen_"),
        ({"mean_": [np.nan] * 3}, "the target scaler must have finite"),
        ({"mean_": [0.0] * 2}, "does not fit a network of 6 outputs"),
        ({"mean_": [], "var_": [], "scale_": []}, "does not fit a network of 6 outputs"),
        ({"mean_": [0.0] * 4, "var_": [1.0] * 4, "scale_": [1.0] * 4}, "does not fit a network of 6 outputs"),
        ({"scale_": [1.0, 0.0, 1.0]}, "does not fit"),
        ({"scale_": [1.0, -1.0, 1.0]}, "does not fit"),
        ({"var_": [1.0, -1.0, 1.0]}, "does not fit"),
        ({"n_samples_seen_": [0.0]}, "does not fit"),
        ({"n_samples_seen_": [1.0, 1.0]}, "does not fit"),
    ],
)
def test_target_scalers_are_checked(vectors, message, tmp_path, monkeypatch):
    monkeypatch.setattr("fastnet.persistence._save._refuse_what_load_refuses", lambda *_: None)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    with pytest.warns(UserWarning):
        regressor = MLPRegressor("quantile", (2,), quantile=[0.1, 0.9], scale_target=True, max_iter=2).fit(X, X)
    path = tmp_path / "model.safetensors"
    regressor.save(path)
    assert np.array_equal(fn.load(path).predict(X), regressor.predict(X))
    for name, value in vectors.items():
        setattr(regressor.target_scaler_, name, np.empty((1, 1)) if value is None else np.asarray(value))
    regressor.save(path)
    with pytest.raises(ValueError, match=message):
        fn.load(path)


def test_the_memory_guards_are_what_refuses(files):
    """The longest label times the number of labels is too much for the size of the file."""
    classifier = next(raw for raw in files if b'\\"kind\\":\\"classifier\\"' in raw)
    labels = {"labels": ["str", ["x" * 200_000, *[""] * 100_000]]}
    with pytest.raises(ValueError, match="labels would take 80000800000 bytes"):
        _load_bytes(_described(classifier, lambda about: about.update(classes=labels)))


def test_nothing_in_a_file_is_imported_or_called(files, monkeypatch):
    """Names in a file are looked up in closed tables: import paths of classes, and names of other classes, are refused."""
    network = next(raw for raw in files if b'\\"kind\\":\\"network\\"' in raw and b'\\"ELU\\"' in raw)
    for name in ("os.system", "fastnet.Network", "Network", "Activation", "Function", "__import__", "builtins.exec", "Session"):
        header, data = mutations.take_apart(network)
        header["__metadata__"]["fastnet"] = header["__metadata__"]["fastnet"].replace('"ELU"', json.dumps(name))
        with pytest.raises(ValueError, match="unknown object"):
            _load_bytes(mutations.put_together(header, data))


def test_pickles_are_not_read(tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (resource.setrlimit, (resource.RLIMIT_CORE, (1, 1)))

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    before = resource.getrlimit(resource.RLIMIT_CORE)
    with pytest.raises(ValueError, match="cannot load"):
        fn.load(path)
    with pytest.raises(ValueError, match="cannot load"):
        load_checkpoint(path)
    assert resource.getrlimit(resource.RLIMIT_CORE) == before


def test_errors_name_the_file(tmp_path, files):
    path = tmp_path / "model.safetensors"
    path.write_bytes(files[0][:-1])
    with pytest.raises(ValueError, match=r"cannot load '.*model.safetensors': "):
        fn.load(path)


def test_a_mutated_checkpoint_is_refused_or_resumes(files, tmp_path):
    """What `fit(resume_from=)` reads is checked too; if resuming fails, nothing is changed."""
    rng = random.Random(2)
    checkpoint = mutations.take_apart(next(raw for raw in files if b'\\"kind\\":\\"checkpoint\\"' in raw))
    data = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 3
    network = fn.Network([fn.Dense(4, fn.ELU(0.5), dropout=0.5), fn.Dense(3, "softmax")], n_inputs=3, random_state=0)
    before, path = network.params.copy(), tmp_path / "checkpoint"
    resumed = 0
    for number in range(600):
        path.write_bytes(mutations.MUTATIONS[number % len(mutations.MUTATIONS)](checkpoint, rng))
        network.params[:] = before
        try:
            callbacks = [fn.EarlyStopping(), fn.Checkpoint(tmp_path / str(number))]
            network.fit(*data, epochs=3, validation_data=data, callbacks=callbacks, resume_from=path)
        except ValueError:
            assert np.array_equal(network.params, before)
        except fn.DivergenceError:  # parameters that were changed to huge ones
            assert np.isfinite(network.params).all()
        else:
            resumed += 1
            assert np.isfinite(network.params).all()
    assert resumed > 10
