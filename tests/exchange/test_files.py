"""Saving and loading networks."""

from __future__ import annotations

import copy
import json
import os

import numpy as np
import pytest
import safetensors.numpy

import fastnet as fn
from fastnet.persistence import FORMAT_VERSION, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def _header(path):
    raw = path.read_bytes()
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip_of_every_activation(every_network, dtype, mmap, path, rng):
    network = fn.Network.from_parameters(every_network.layers, every_network.weights, every_network.biases, dtype=dtype)
    network.save(path)
    loaded = fn.load(path, mmap=mmap)
    assert loaded.layers == network.layers
    assert loaded.sizes == network.sizes
    assert loaded.dtype == network.dtype
    assert loaded.params.tobytes() == network.params.tobytes()
    X = rng.normal(size=(10, 4)).astype(dtype)
    assert np.array_equal(loaded.forward(X), network.forward(X))


def test_architecture_survives_whole(network, path):
    network.save(path)
    loaded = fn.load(path)
    assert [layer.dropout for layer in loaded.layers] == [0.25, 0.0, 0.0]
    assert [layer.initializer.name for layer in loaded.layers][1] == "he_uniform"
    assert loaded.layers[0].activation == fn.LeakyReLU(0.1)


@pytest.mark.parametrize("n_layers", [1, 12])
def test_tensors_are_named_by_layer_for_other_readers(n_layers, path):
    """The safetensors library reads the file; names and shapes are the lecture's."""
    network = fn.Network([fn.Dense(2, "tanh") for _ in range(n_layers)], n_inputs=3, random_state=0)
    network.save(path)
    tensors = safetensors.numpy.load_file(path)
    width = len(str(n_layers))
    for number, (W, b) in enumerate(zip(network.weights, network.biases, strict=True), start=1):
        assert np.array_equal(tensors[f"W{number:0{width}}"], W)
        assert np.array_equal(tensors[f"b{number:0{width}}"], b)
    assert len(tensors) == 2 * n_layers


def test_header_says_what_the_file_is(network, path):
    network.save(path)
    about = json.loads(_header(path)["__metadata__"]["fastnet"])
    assert about["format"] == FORMAT_VERSION == 2
    assert about["kind"] == "network"
    assert about["version"] == fn.__version__
    assert about["dtype"] == "float32"
    assert about["n_inputs"] == 6


def test_parameters_lie_in_the_file_not_in_memory(network, path):
    """Loading maps the file: the parameters are a view of one buffer, no copy."""
    network.save(path)
    params = fn.load(path).params
    assert not params.flags.owndata
    assert params.flags.aligned and params.flags.c_contiguous and params.flags.writeable


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="needs Linux's memory accounting")
def test_opening_a_large_file_reads_little_of_it(path):
    """64 MiB of parameters: opening the file and reading one of them makes few pages resident."""
    network = fn.Network([fn.Dense(4096, "relu"), fn.Dense(1, "identity")], n_inputs=4096, random_state=0)
    network.save(path)
    assert path.stat().st_size > 64 << 20
    loaded = fn.load(path)
    assert loaded.params[0] == network.params[0]
    assert _mapped_kib(path, "Rss") < 8 << 10
    assert np.array_equal(loaded.params, network.params)
    assert _mapped_kib(path, "Rss") > 60 << 10
    assert _mapped_kib(path, "Private_Dirty") == 0  # all of them the file's own pages, which other processes share
    loaded.params[-1] = 7
    assert 0 < _mapped_kib(path, "Private_Dirty") < 1 << 10  # a private copy of that page
    assert fn.load(path).params[-1] == network.params[-1]


def _mapped_kib(path, what: str) -> int:
    """KiB of one kind in this process's mappings of a file."""
    total, inside = 0, False
    with open("/proc/self/smaps") as maps:
        for line in maps:
            if "-" in line.split()[0] and not line.split()[0].endswith(":"):
                inside = line.rstrip().endswith(str(path))
            elif inside and line.startswith(f"{what}:"):
                total += int(line.split()[1])
    return total


def test_training_a_mapped_network_leaves_the_file_alone(network, path, rng):
    network.save(path)
    before = path.read_bytes()
    loaded, kept = fn.load(path), copy.deepcopy(network)
    X, y = rng.normal(size=(40, 6)), rng.integers(0, 3, 40)
    for one in (loaded, kept):
        one.fit(X, y, epochs=2, random_state=0)
    assert np.array_equal(loaded.params, kept.params)
    assert not np.array_equal(loaded.params, network.params)
    assert path.read_bytes() == before
    loaded.save(path)
    assert np.array_equal(fn.load(path).params, loaded.params)


def test_several_loads_of_one_file_are_independent(network, path):
    network.save(path)
    first, second = fn.load(path), fn.load(path)
    first.params[:] = 1
    assert np.array_equal(second.params, network.params)


def test_saving_over_the_file_a_network_was_loaded_from(network, path):
    network.save(path)
    loaded = fn.load(path, mmap=os.name == "posix")
    loaded.params[0] = 42
    loaded.save(path)
    assert fn.load(path).params[0] == 42
    assert loaded.params[1] == network.params[1]


def test_a_file_laid_out_differently_loads_too(network, path, tmp_path):
    """Other writers may order the tensors differently; then the parameters are gathered into a copy."""
    network.save(path)
    raw = path.read_bytes()
    header, data = _header(path), raw[8 + int.from_bytes(raw[:8], "little") :]
    names, blob, entries = sorted(set(header) - {"__metadata__"}, reverse=True), b"", {"__metadata__": header["__metadata__"]}
    for name in names:
        begin, end = header[name]["data_offsets"]
        entries[name] = {**header[name], "data_offsets": [len(blob), len(blob) + end - begin]}
        blob += data[begin:end]
    text = json.dumps(entries).encode()
    text += b" " * (-(len(text) + 1) % 8)  # not a multiple of 8: unaligned data
    other = tmp_path / "other.safetensors"
    other.write_bytes(len(text).to_bytes(8, "little") + text + blob)
    assert np.array_equal(fn.load(other).params, network.params)
    assert fn.load(other).params.flags.aligned


def test_pickle_and_deepcopy_of_a_mapped_network(network, path):
    import pickle

    network.save(path)
    loaded = fn.load(path)
    for twin in (pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)):
        assert np.array_equal(twin.params, network.params)
        twin.params[:] = 0
    assert np.array_equal(loaded.params, network.params)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_not_finite_are_refused_unless_asked_for(network, path, value):
    network.params[3] = value
    network.save(path)
    with pytest.raises(ValueError, match=r"1\.W.*NaN or Inf"):
        fn.load(path)
    assert np.array_equal(fn.load(path, check_finite=False).params, network.params, equal_nan=True)


@pytest.mark.parametrize("check_finite", [None, True])
@pytest.mark.parametrize("layer", [fn.GRU(2), fn.Conv1d(2, 2), fn.BatchNorm(), fn.TransformerBlock(1), fn.Positions()], ids=repr)
def test_parameters_of_all_layers_are_checked(layer, check_finite, path):
    network = fn.Network([layer, fn.GlobalPool() if layer != fn.GRU(2) else fn.Scale(), fn.Dense(1)], input_shape=(4, 2))
    for name, parameter in network.parameters.items():
        before = parameter.flat[0]
        parameter.flat[0] = np.nan
        network.save(path)
        with pytest.raises(ValueError, match=f"cannot load .*parameter '{name}' holds NaN or Inf; load with check_finite=False"):
            fn.load(path, check_finite=check_finite)
        assert np.isnan(fn.load(path, check_finite=False).parameters[name].flat[0])
        parameter.flat[0] = before
    network.save(path)
    fn.load(path, check_finite=check_finite)


@pytest.mark.parametrize("layers", [None, [fn.Scale(), fn.Dense(3)]])
def test_parameters_of_estimators_are_checked(layers, path):
    clf = fn.NetworkClassifier(layers, hidden_layer_sizes=(3,)).initialize(4, classes=[0, 1])
    clf.coefs_[1][0] = np.inf
    save(clf, path)
    with pytest.raises(ValueError, match="holds NaN or Inf; load with check_finite=False"):
        fn.load(path)
    assert np.isinf(fn.load(path, check_finite=False).coefs_[1]).any()


def test_what_is_not_a_model_file(tmp_path, path):
    with pytest.raises(FileNotFoundError):
        fn.load(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="not a regular file"):
        fn.load(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"0 bytes, expected at least 8"):
        fn.load(path)
    path.write_bytes(b"PK\x03\x04 a zip file, as torch writes them ......")
    with pytest.raises(ValueError, match="a pickle or an archive"):
        fn.load(path)
    safetensors.numpy.save_file({"0.weight": np.zeros((2, 2), "f4")}, path)
    with pytest.raises(ValueError, match="from_torch_state_dict"):
        fn.load(path)


def test_later_formats_are_refused_with_what_to_do(network, path):
    network.save(path)
    path.write_bytes(path.read_bytes().replace(b'\\"format\\":2,', b'\\"format\\":3,'))
    with pytest.raises(ValueError, match=r"format 3.*up to 2: upgrade"):
        fn.load(path)


def test_only_models_can_be_saved(path):
    with pytest.raises(TypeError, match="cannot save a dict"):
        save({"W": 1}, path)
    assert not path.exists()


def test_networks_without_parameters(path):
    network = fn.Network([fn.Columns([2, 0]), fn.Reshape((2, 1)), fn.Flatten()], n_inputs=3, dtype="float64")
    network.save(path)
    loaded = fn.load(path)
    assert loaded.dtype == np.float64
    assert loaded.forward([[1, 2, 3]]).tolist() == [[3, 1]]


def test_saving_twice_gives_the_same_bytes(network, path, tmp_path):
    network.save(path)
    network.save(tmp_path / "again")
    assert path.read_bytes() == (tmp_path / "again").read_bytes()


def test_layers_within_layers_are_saved_only_if_they_can_be_loaded(tmp_path):
    def network(depth):
        layer = fn.Dense(2, "identity")
        for _ in range(depth):
            layer = fn.Residual([layer])
        return fn.Network([layer, fn.Dense(1)], 2, random_state=0)

    path, saved = tmp_path / "net.safetensors", []
    for depth in (30, 150, 200, 300):
        try:
            network(depth).save(path)
            saved.append(depth)
        except ValueError as error:
            assert "its layers lie within each other more deeply than a file can be read" in str(error)
        assert fn.load(path, mmap=False).layers == network(saved[-1]).layers
    assert 30 in saved and 300 not in saved
