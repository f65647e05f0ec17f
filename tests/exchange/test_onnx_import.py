"""ONNX graphs from other sources: accepted graphs compute the same, refused nodes are named, and none takes long."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

import graphs  # noqa: E402
import kinds  # noqa: E402
from onnx import TensorProto, numpy_helper  # noqa: E402

from fastnet.onnx import from_onnx, to_onnx  # noqa: E402
from fastnet.onnx._activations import COMMUTATIVE, EXPRESSIONS, Z  # noqa: E402


def _run(model, X):
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"X": X})[0]


W = np.arange(6, dtype=np.float32).reshape(2, 3)
B = np.array([1, 2, 3], np.float32)


@pytest.mark.parametrize(
    "nodes, constants",
    [
        ([("MatMul", ["X", "W"], "Z"), ("Add", ["Z", "b"], "Y")], {"W": W, "b": B}),
        ([("MatMul", ["X", "W"], "Z"), ("Add", ["b", "Z"], "Y")], {"W": W, "b": B[None]}),
        ([("MatMul", ["X", "W"], "Z"), ("Add", ["Z", "b"], "T"), ("Relu", ["T"], "Y")], {"W": W, "b": B}),
        ([("Gemm", ["X", "W"], "Y")], {"W": W}),
        ([("Gemm", ["X", "W", "b"], "Y", {"transB": 1, "alpha": 0.5, "beta": 2.0})], {"W": W.T.copy(), "b": B}),
        ([("Gemm", ["X", "W", "b"], "Z"), ("Dropout", ["Z"], "T"), ("Identity", ["T"], "Y")], {"W": W, "b": np.float32(3)}),
        ([("Gemm", ["X", "W"], "Z"), ("Dropout", ["Z", "", "training"], "Y")], {"W": W, "training": np.False_}),
        ([("Gemm", ["X", "W", "b"], "Z"), ("Softmax", ["Z"], "Y", {"axis": -1})], {"W": W, "b": B}),
        ([("Gemm", ["X", "W", "b"], "Z"), ("LeakyRelu", ["Z"], "Y")], {"W": W, "b": B}),
        ([("Gemm", ["X", "W", "b"], "Z"), ("Sigmoid", ["Z"], "S"), ("Mul", ["S", "Z"], "Y")], {"W": W, "b": B}),
        ([("Identity", ["b"], "c"), ("Identity", ["c"], "d"), ("Gemm", ["X", "W", "d"], "Y")], {"W": W, "b": B}),
        ([("Identity", ["W"], "V"), ("MatMul", ["X", "V"], "Z"), ("Add", ["Z", "b"], "Y")], {"W": W, "b": B}),
        ([("Constant", [], "b", {"value": numpy_helper.from_array(B)}), ("Gemm", ["X", "W", "b"], "Y")], {"W": W}),
        ([("Constant", [], "b", {"value_floats": [1.0, 2.0, 3.0]}), ("Gemm", ["X", "W", "b"], "Y")], {"W": W}),
        ([("Constant", [], "b", {"value_float": 2.5}), ("Identity", ["b"], "c"), ("Gemm", ["X", "W", "c"], "Y")], {"W": W}),
    ],
)
def test_other_writers_chains(nodes, constants, rng):
    """What exporters write for dense layers: compared with ONNX Runtime on the same graph."""
    model = graphs.model(nodes, constants)
    X = rng.normal(size=(5, 2)).astype(np.float32)
    np.testing.assert_allclose(from_onnx(model).forward(X), _run(model, X), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "nodes, constants, message",
    [
        ([("Gemm", ["X", "W", "b"], "Z"), ("Det", ["Z"], "Y")], {"W": W, "b": B}, r"node 'Y' \(Det\).*no such layer"),
        ([("Conv", ["X", "W"], "C"), ("LSTM", ["C"], "Y")], {"W": W}, r"node 'C' \(Conv\)"),
        ([("Relu", ["X"], "T"), ("Gemm", ["T", "W"], "Y")], {"W": W}, r"node 'T' \(Relu\).*right after a layer"),
        ([("Gemm", ["X", "W"], "Z"), ("Relu", ["Z"], "T"), ("Tanh", ["T"], "Y")], {"W": W}, r"node 'Y' \(Tanh\)"),
        ([("Gemm", ["X", "W"], "Z"), ("Add", ["Z", "Z"], "Y")], {"W": W}, r"node 'Y' \(Add\)"),
        ([("Gemm", ["X", "X"], "Y")], {}, r"node 'Y' \(Gemm\).*not a constant"),
        ([("Gemm", ["W", "X"], "Y")], {"W": W}, r"node 'Y' \(Gemm\).*first operand"),
        ([("MatMul", ["X", "W"], "Y")], {"W": W[None]}, r"node 'Y' \(MatMul\).*expected 2 dimensions"),
        ([("MatMul", ["X", "W"], "Y")], {"W": W.astype(np.int64)}, r"node 'Y' \(MatMul\).*int64"),
        ([("MatMul", ["X", "W"], "Z"), ("MatMul", ["Z", "W"], "Y")], {"W": W}, r"takes 2 inputs, the layer before it gives 3"),
        ([("Gemm", ["X", "W", "b"], "Y")], {"W": W, "b": B[:2]}, r"its bias is float32 of shape \(2,\)"),
        ([("Gemm", ["X", "W"], "Z"), ("Gelu", ["Z"], "Y", {"approximate": "tanh"})], {"W": W}, r"\(Gelu\).*approximate"),
        ([("Gemm", ["X", "W"], "Z"), ("Softmax", ["Z"], "Y", {"axis": 0})], {"W": W}, r"\(Softmax\).*axis"),
        ([("Gemm", ["X", "W"], "Z"), ("Sin", ["Z"], "S"), ("Mul", ["S", "Z"], "Y")], {"W": W}, r"node 'S' \(Sin\).*no such"),
        ([("Identity", ["X"], "Y")], {}, "no layer with parameters"),
        ([("Gemm", ["X"], "Y")], {}, r"cannot take node 'Y' \(Gemm\)"),
        ([("Gemm", ["X", "W"], "Z"), ("Elu", ["Z"], "Y", {"alpha": "large"})], {"W": W}, r"cannot take node 'Y' \(Elu\)"),
        ([("Gemm", ["X", "W"], "Z"), ("Relu", ["Z"], "Y", {"domain": "com.foo"})], {"W": W}, r"node 'Y' \(com.foo::Relu\)"),
        (
            [("Gemm", ["X", "W"], "Z"), ("Sigmoid", ["Z"], "S", {"domain": "com.foo"}), ("Mul", ["S", "Z"], "Y")],
            {"W": W},
            r"node 'S' \(com.foo::Sigmoid\)",
        ),
        *(
            (
                [("Gemm", ["X", "W"], "Z"), ("Dropout", ["Z", "", "training"], "Y")],
                {"W": W, "training": training},
                r"node 'Y' \(Dropout\).*training_mode",
            )
            for training in (np.True_, np.zeros(2, bool))
        ),
        ([("Gemm", ["X", "W"], "Z"), ("Cast", ["Z"], "Y", {"to": TensorProto.INT64})], {"W": W}, r"node 'Y' \(Cast\).*float32"),
        ([("MatMul", ["W", "X"], "Y")], {"W": W}, r"node 'Y' \(MatMul\).*first operand"),
        ([("Gemm", ["X", "W"], "Y", {"transA": 1})], {"W": W}, r"node 'Y' \(Gemm\).*not transposed"),
        ([("Gemm", ["X", "W"], "Y", {"alpha": [1.0, 2.0, 3.0]})], {"W": W}, r"cannot take node 'Y' \(Gemm\)"),
        ([("Gemm", ["X", "W"], "Y", {"alpha": 0.5})], {"W": W.astype(np.int64)}, r"node 'Y' \(Gemm\).*int64"),
        ([("MatMul", ["X", "W"], "Z"), ("Add", ["Z", "b"], "Y")], {"W": W, "b": B[None, None]}, r"its bias is .* \(1, 1, 3\)"),
        ([("Gemm", ["X", "W", "b"], "Y")], {"W": W.astype(float), "b": B.astype(np.int64)}, "for its bias, got int64"),
        ([("Gemm", ["X", "W"], "Z"), ("Relu", ["Z", "W"], "Y")], {"W": W}, r"node 'Y' \(Relu\)"),
        ([("Gemm", ["X", "W"], "Z"), ("Dropout", ["Z"], "T Y")], {"W": W}, r"node 'T' \(Dropout\).*output 'Y'"),
        ([("Gemm", ["X", "W"], "Z"), ("Relu", ["Z"], "A"), ("Add", ["A", "Z"], "Y")], {"W": W}, r"node 'Y' \(Add\)"),
        ([("Gemm", ["X", "W"], "Z"), ("Relu", ["Z"], "Y"), ("Tanh", ["Z"], "Y")], {"W": W}, r"two tensors named 'Y'"),
        ([("Gemm", ["X", "W"], "Z"), ("Identity", ["Z"], "W"), ("Relu", ["W"], "Y")], {"W": W}, r"two tensors named 'W'"),
        ([("Gemm", ["W", "W"], "Y")], {"W": W}, r"output 'Y' does not depend on the input"),
        ([("Gemm", ["X", "W"], "Y")], {"W": W * np.float32("nan")}, r"node 'Y' \(Gemm\): NaN or infinity in its weights"),
        ([("Gemm", ["X", "W"], "Y", {"alpha": 1e38})], {"W": W * 100}, r"node 'Y' \(Gemm\): NaN or infinity in its weights"),
        (
            [("Gemm", ["X", "W", "b"], "Y")],
            {"W": W, "b": B * np.float32("inf")},
            r"node 'Y' \(Gemm\): NaN or infinity in its bias",
        ),
    ],
)
def test_the_first_node_that_cannot_be_taken_is_named(nodes, constants, message):
    with pytest.raises(ValueError, match=message):
        from_onnx(graphs.model(nodes, constants))


@pytest.mark.parametrize("operator", ["Sub", "Div", "Pow", "Min", "Max", "Mod"])
@pytest.mark.parametrize("operands", [["Z", "b"], ["b", "Z"]])
def test_no_other_operator_is_taken_for_the_addition_of_a_bias(operator, operands):
    with pytest.raises(ValueError, match=rf"node 'Y' \({operator}\): there is no such layer"):
        from_onnx(graphs.model([("Gemm", ["X", "W"], "Z"), (operator, operands, "Y")], {"W": W, "b": B}))


def _written(expression):
    """The nodes and constants of a layer and, of its output Z, the expression Y."""
    nodes, constants = [("Gemm", ["X", "W", "b"], "Z")], {"W": W, "b": B}

    def write(operand, output):
        if operand == Z:
            return "Z"
        if isinstance(operand, float):
            constants[output] = np.float32(operand)
        else:
            operator, *operands = operand
            names = [write(inner, f"{output}{place}") for place, inner in enumerate(operands)]
            nodes.append((operator, names, output))
        return output

    write(expression, "Y")
    return nodes, constants


@pytest.mark.parametrize("name, expression", [(name, one) for name, several in EXPRESSIONS.items() for one in several])
def test_operands_are_swapped_only_where_that_changes_nothing(name, expression, rng):
    """A sum or a product is known in either order, Div(sqrt(2), z) is no Div(z, sqrt(2))."""
    nodes, constants = _written(expression)
    X = rng.normal(size=(50, 2), scale=3).astype(np.float32)
    for place, (operator, operands, output) in enumerate(nodes[1:], start=1):
        for order in itertools.permutations(operands):
            model = graphs.model([*nodes[:place], (operator, order, output), *nodes[place + 1 :]], constants)
            if operator in COMMUTATIVE or list(order) == operands:
                network = from_onnx(model)
                assert network.layers[0].activation.name == name
                np.testing.assert_allclose(network.forward(X), _run(model, X), rtol=1e-5, atol=1e-6)
            else:
                with pytest.raises(ValueError, match="cannot take node"):
                    from_onnx(model)


@pytest.mark.parametrize("name, expression", [(name, one) for name, several in EXPRESSIONS.items() for one in several])
def test_numbers_of_an_expression_are_the_right_ones(name, expression):
    """Another value, three dimensions (which the result would have too), or another type: not a known activation."""
    nodes, constants = _written(expression)
    for number in constants.keys() - {"W", "b"}:
        for wrong in (constants[number] * 2, constants[number].reshape(1, 1, 1), constants[number].astype(np.int64)):
            with pytest.raises(ValueError, match="cannot take node"):
                from_onnx(graphs.model(nodes, {**constants, number: wrong}))


def test_whatever_is_taken_of_random_graphs_agrees_with_onnx_runtime(rng):
    """Layers and activations with operands shuffled, or parts replaced: accepted only if the network computes the same."""
    chance = random.Random(0)
    X = rng.normal(size=(5, graphs.N_FEATURES), scale=2).astype(np.float32)
    taken, refused = 0, 0
    for _ in range(600):
        model = graphs.random_model(chance)
        try:
            network = from_onnx(model)
        except ValueError:
            refused += 1
            continue
        try:
            expected = _run(model, X)
        except Exception:  # refuses a model whose unused nodes are invalid
            continue
        np.testing.assert_allclose(network.forward(X), expected, rtol=1e-4, atol=1e-4, err_msg=str(model.graph.node))
        taken += 1
    assert min(taken, refused) > 150


@pytest.mark.parametrize("place", range(4))
def test_attributes_that_are_not_known_are_refused(place):
    """Before operator set 7 attributes controlled broadcasting in Add and Gemm, and whether Dropout is active."""
    nodes = [("Gemm", ["X", "W", "b"], "Z"), ("Dropout", ["Z"], "D"), ("MatMul", ["D", "V"], "M"), ("Add", ["M", "b"], "Y")]
    constants = {"W": W, "V": np.eye(3, dtype=np.float32), "b": B}
    assert from_onnx(graphs.model(nodes, constants, opset=6)).sizes == (2, 3, 3)
    nodes[place] += ({"axis": 0},)
    with pytest.raises(ValueError, match=rf"\({nodes[place][0]}\): it has the attributes \['axis'\]"):
        from_onnx(graphs.model(nodes, constants, opset=6))


@pytest.mark.parametrize("place", range(2))
def test_expressions_have_no_attributes(place):
    nodes = [("Sigmoid", ["Z"], "S"), ("Mul", ["S", "Z"], "Y")]
    nodes[place] += ({"axis": 0},)
    with pytest.raises(ValueError, match="cannot take node"):
        from_onnx(graphs.model([("Gemm", ["X", "W"], "Z"), *nodes], {"W": W}))


LONG = 10_000


def _chain(operator, more=(), start="Z", end="Y", **attributes):
    """A long chain of nodes of one operator, each with the same further operands."""
    names = [start, *(f"t{number}" for number in range(1, LONG)), end]
    return [(operator, [before, *more], after, attributes) for before, after in itertools.pairwise(names)]


ONE = np.ones((1, 1), np.float32)


@pytest.mark.parametrize(
    "chain, bias",
    [
        (_chain("Identity"), 0),
        (_chain("Cast", to=TensorProto.FLOAT), 0),
        (_chain("Dropout", ["", "off"]), 0),
        (_chain("Add", ["one"]), LONG),
    ],
    ids=["Identity", "Cast", "Dropout", "Add"],
)
def test_long_chains_are_read(chain, bias):
    """They take half a second; in quadratic time they would take long."""
    constants = {"W": ONE, "one": np.float32([1]), "off": np.False_}
    network = from_onnx(graphs.model([("Gemm", ["X", "W"], "Z"), *chain], constants, shape=(None, 1)).SerializeToString())
    assert network.params.tolist() == [1, bias]


def test_long_chains_of_other_kinds():
    long_constant = [*_chain("Identity", start="W", end="V"), ("Gemm", ["X", "V"], "Y")]
    assert from_onnx(graphs.model(long_constant, {"W": ONE}, shape=(None, 1))).params.tolist() == [1, 0]
    backwards = graphs.model([*reversed(_chain("Identity")), ("Gemm", ["X", "W"], "Z")], {"W": ONE})
    with pytest.raises(ValueError, match="does not depend on the input"):
        from_onnx(backwards)
    layer = ("Gemm", ["X", "W"], "Z")
    with pytest.raises(ValueError, match=r"node 't2' \(Relu\).*right after a layer"):
        from_onnx(graphs.model([layer, *_chain("Relu")], {"W": ONE}, shape=(None, 1)))
    doubled = [(operator, operands * 2, output) for operator, operands, output, _ in _chain("Mul")]
    with pytest.raises(ValueError, match=r"node 't1' \(Mul\)"):
        from_onnx(graphs.model([layer, *doubled], {"W": ONE}, shape=(None, 1)))


@pytest.mark.parametrize(
    "nodes",
    [
        [("Identity", ["Y"], "Y")],
        [("Add", ["X", "Y"], "Y")],
        [("Mul", ["X", "B"], "A"), ("Mul", ["A", "X"], "B"), ("Mul", ["A", "B"], "Y")],
        [("Constant", [], "", {"value": numpy_helper.from_array(ONE)})],
        [("Identity", ["X"], "")],
        [],
    ],
)
def test_graphs_that_end_nowhere(nodes):
    with pytest.raises(ValueError, match="does not depend on the input|cannot take node"):
        from_onnx(graphs.model(nodes, {}))


def _field(number, payload):
    """A field of a protobuf message that holds a message."""
    length, size = b"", len(payload)
    while size >= 128:
        length, size = length + bytes([size % 128 + 128]), size // 128
    return bytes([number << 3 | 2]) + length + bytes([size]) + payload


def test_deep_subgraphs_are_refused():
    graph = b""
    for _ in range(2000):
        graph = _field(1, _field(5, _field(6, graph)))  # a graph whose node has an attribute that is a graph
    with pytest.raises(ValueError, match="not an ONNX model"):
        from_onnx(_field(7, graph))


def test_sharing_constants_makes_no_network_out_of_proportion():
    """A small file whose nodes share one large matrix would ask for any amount of memory and time."""
    constants = {"W": np.eye(300, dtype=np.float32), "b": np.ones(300, np.float32)}

    def shared(n_layers):
        names = ["X", *(f"t{number}" for number in range(1, n_layers)), "Y"]
        nodes = [("Gemm", [before, "W", "b"], after) for before, after in itertools.pairwise(names)]
        return graphs.model(nodes, constants, shape=(None, 300))

    assert from_onnx(shared(16)).n_layers == 16
    with pytest.raises(ValueError, match=r"node 't17' \(Gemm\): nodes share constants so often"):
        from_onnx(shared(1000))
    wide = {"W": np.ones((1, 300_000), np.float32), "b": np.ones(300_000, np.float32), "one": np.float32(1)}
    for chain in (_chain("Add", ["b"]), _chain("Add", ["one"])):
        with pytest.raises(ValueError, match="share constants so often"):
            from_onnx(graphs.model([("MatMul", ["X", "W"], "Z"), *chain], wide, shape=(None, 1)))


def test_the_input_must_be_rows_of_as_many_features_as_the_first_layer_takes():
    nodes = [("Gemm", ["X", "W"], "Y")]
    with pytest.raises(ValueError, match=r"node 'Y' \(Gemm\): it takes 2 inputs, the model's input has 5"):
        from_onnx(graphs.model(nodes, {"W": W}, shape=(None, 5)))
    nodes = [("MatMul", ["X", "W"], "Z"), ("Softmax", ["Z"], "Y", {"axis": 1})]
    with pytest.raises(ValueError, match=r"node 'Y' \(Softmax\): its axis is 1, expected the last"):
        from_onnx(graphs.model(nodes, {"W": W}, shape=(None, 4, 2)))
    with pytest.raises(ValueError, match=r"input 'X' has 5 dimensions, expected 2 to 4: \(rows, features\)"):
        from_onnx(graphs.model(nodes, {"W": W}, shape=(None, 4, 2, 2, 2)))
    with pytest.raises(ValueError, match=r"input 'X' has axes of any length"):
        from_onnx(graphs.model(nodes, {"W": W}, shape=(None, None, 2)))
    for shape in (None, (None, None), ("rows", "columns")):
        assert from_onnx(graphs.model(nodes, {"W": W}, shape=shape)).sizes == (2, 3)


def test_files_and_broken_bytes(network, tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(to_onnx(network), path)
    assert np.array_equal(from_onnx(path).params, network.params)
    for raw in (b"", b"not onnx", path.read_bytes()[:-50]):
        with pytest.raises(ValueError):
            from_onnx(raw)


def test_external_data_is_not_read(network, tmp_path):
    """A model may refer to other files for its weights, a hostile one to any file. None is opened."""
    model = to_onnx(network)
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, size_threshold=0)
    with pytest.raises(ValueError, match="lies in another file"):
        from_onnx(tmp_path / "model.onnx")


def test_mutated_models_end_in_a_network_or_a_value_error(network):
    rng = random.Random(0)
    layers = [to_onnx(other) for other in kinds.networks().values()]
    valid = [to_onnx(network), to_onnx(network, opset=13), *layers, *(graphs.random_model(rng, change=0) for _ in range(20))]
    taken = 0
    for _ in range(3000):
        raw = bytearray(rng.choice(valid).SerializeToString())
        for _ in range(rng.choice((1, 2, 10))):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        if rng.random() < 0.2:
            del raw[rng.randrange(len(raw)) :]
        try:
            from_onnx(bytes(raw))
        except ValueError:
            continue
        taken += 1
    assert 0 < taken < 3000
