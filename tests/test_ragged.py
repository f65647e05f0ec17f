"""Rows of unequal length: each row as if it were alone, however the rows are given."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from helpers import DTYPES, assert_same_bits_by_any_team, distance, finite_difference

import fastnet as fn
from fastnet._core import core

LENGTHS = [9, 4, 7, 5, 9, 6]
T, C = 9, 3
#: Layers that read rows (length, C) and make one position of them.
CHAINS = {
    "valid": [fn.Conv1d(4, 3, "tanh"), fn.GlobalPool()],
    "same": [fn.Conv1d(4, 3, "tanh", padding="same"), fn.Conv1d(5, 4, "silu", padding="same"), fn.GlobalPool("max")],
    "causal": [fn.Conv1d(4, 2, "tanh", dilation=2, padding="causal"), fn.Last()],
    "strides": [fn.Conv1d(4, 3, "tanh", stride=2, padding=1), fn.Conv1d(3, 2, "tanh"), fn.GlobalPool()],
    "pools": [fn.Conv1d(14, 2, "tanh", padding=1), fn.MaxPool(2), fn.AvgPool(2, 1), fn.GlobalPool("max")],
    "dense": [fn.Dense(4, "tanh"), fn.LayerNorm(), fn.Dense(3, "gelu"), fn.GlobalPool()],
    "residual": [fn.Residual([fn.Dense(5, "tanh"), fn.Conv1d(C, 3, "tanh", padding="same")]), fn.GlobalPool("max")],
    "concat": [fn.Concat([fn.GlobalPool()], [fn.Last()], [fn.Conv1d(2, 3, "tanh"), fn.GlobalPool("max")])],
    "concat-of-positions": [
        fn.Concat([fn.Conv1d(4, 3, "sigmoid", padding="same")], [], [fn.Dense(2, "sigmoid")]),
        fn.Conv1d(3, 2, "tanh", padding="causal"),
        fn.GlobalPool(),
    ],
    "inception-residual": [
        fn.Residual(
            [fn.Concat([fn.DepthwiseConv1d(3, "softplus", padding="same")], [fn.GRU(2, return_sequences=True)]), fn.Dense(C)]
        ),
        fn.Last(),
    ],
    "concat-of-windows": [
        fn.Concat([fn.Conv1d(4, 3, "sigmoid")], [fn.Conv1d(3, 2, "sigmoid"), fn.MaxPool(2, 1)]),
        fn.GlobalPool("max"),
    ],
    "gru": [fn.GRU(4, return_sequences=True), fn.GRU(3)],
    "lstm": [fn.Bidirectional(fn.LSTM(3, return_sequences=True)), fn.GlobalPool("max")],
    "rnn": [fn.Dense(4, "tanh"), fn.Bidirectional(fn.RNN(3))],
    "blocks": [fn.Dense(4, "sigmoid"), fn.TransformerBlock(2, 5), fn.Residual([fn.Dense(4, "softplus")]), fn.GlobalPool()],
    "inputs": [fn.GlobalPool()],
    "last-of-inputs": [fn.Last()],
}


def network(chain, *, dtype="float64", length=T, ragged=True, output="softmax"):
    layers = [*CHAINS[chain], fn.Dense(3, output)]
    net = fn.Network(layers, input_shape=(length, C), ragged=ragged, dtype=dtype, random_state=0)
    net.params[:] = 0.4 * np.random.default_rng(1).standard_normal(net.n_params)
    return net


def series(rng, lengths=LENGTHS):
    return [rng.standard_normal((n, C)) for n in lengths]


def alone(chain, row, dtype):
    """The network for rows of this row's length, with the same parameters."""
    net = network(chain, dtype=dtype, length=len(row), ragged=False)
    return net


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chain", CHAINS)
def test_each_row_is_as_it_is_alone(chain, dtype, rng):
    rows = series(rng)
    net = network(chain, dtype=dtype)
    A = net.forward(rows)
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    for row, a in zip(rows, A, strict=True):
        np.testing.assert_allclose(a, alone(chain, row, dtype).forward(row), rtol=0, atol=tolerance)
        np.testing.assert_allclose(net.forward(row), a, rtol=0, atol=tolerance)


@pytest.mark.parametrize("chain", CHAINS)
def test_gradients_are_those_of_rows_alone(chain, rng):
    rows, y, w = series(rng), rng.integers(0, 3, len(LENGTHS)), rng.uniform(0.5, 2, len(LENGTHS))
    net = network(chain)
    J, gradients = net.loss_and_grad(rows, y, sample_weight=w)
    singles = [alone(chain, row, "float64").loss_and_grad([row], [target]) for row, target in zip(rows, y, strict=True)]
    assert J == pytest.approx(np.average([single[0] for single in singles], weights=w), rel=1e-12)
    assert distance(gradients.flat, np.average([single[1].flat for single in singles], axis=0, weights=w)) < 1e-11


@pytest.mark.parametrize("chain", ["strides", "residual", "concat", "pools", "gru", "lstm", "rnn", "blocks"])
def test_core_twin_and_finite_differences(chain, rng):
    rows, Y = series(rng), rng.standard_normal((len(LENGTHS), 3))
    net = network(chain, output="identity")
    X = net._flat(rows)
    Z, A = net._graph.forward(net.parameters, X)
    np.testing.assert_allclose(net.forward(rows), A[-1], rtol=0, atol=1e-13)
    _, gradients = net.loss_and_grad(rows, Y)
    twin, _ = net._graph.backward(net.parameters, Z, A, (A[-1] - Y) / len(Y))
    vector = np.zeros(net.n_params)
    for name, view in net.views(vector).items():
        view[...] = twin[name]
    assert distance(gradients.flat, vector) < 1e-11
    assert distance(gradients.flat, finite_difference(lambda: net.loss(rows, Y), net.params, 1e-4)) < 1e-6


def test_numbers_beyond_the_length_never_matter(rng):
    rows = series(rng)
    net, padded = network("residual"), fn.Ragged.from_rows(rows).padded()
    for row, n in zip(padded, LENGTHS, strict=True):
        row[n:] = np.nan
    np.testing.assert_array_equal(net.forward(fn.Ragged.from_padded(padded, LENGTHS)), net.forward(rows))
    inside = net._flat(rows)
    for row, n in zip(inside, LENGTHS, strict=True):
        row[n * C : -1] = 1e30
    np.testing.assert_array_equal(net.forward(inside), net.forward(rows))


class TestNoWorkBeyondTheLength:
    """Zeros are there, though biases and activations would make other numbers of zeros."""

    LAYERS = (
        fn.Dense(4, "sigmoid"),
        fn.LayerNorm(),
        fn.Residual([fn.Dense(5, "softplus"), fn.Dense(4, "sigmoid")], "exponential"),
        fn.TransformerBlock(2, 6),
        fn.Dropout(0.2),
        fn.Dense(3, "sigmoid", dropout=0.2),
    )

    @staticmethod
    def build(layers, shape, dtype="float64"):
        layers = [*layers, fn.GlobalPool(), fn.Dense(2, "identity")]
        net = fn.Network(layers, input_shape=shape, ragged=True, dtype=dtype, random_state=0)
        net.params[:] = 0.4 * np.random.default_rng(1).standard_normal(net.n_params)
        return net

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("lengths", [LENGTHS, [9, 9, 1, 9, 9, 9], [9, 9]])
    def test_outputs(self, dtype, lengths, rng):
        net = self.build(self.LAYERS, (T, C), dtype)
        there = np.arange(T) < np.array(lengths)[:, None]
        outputs = net.activations(series(rng, lengths))[1 : len(self.LAYERS) + 1]
        for A in outputs:
            assert (A[~there] == 0).all()
            assert (A[there] != 0).all()

    #: Layers that have parameters for each position, or that look at windows: how many a row of n positions has.
    OTHERS = (
        (fn.Scale(bias=True), lambda n: n),
        (fn.Parametric("exponential"), lambda n: n),
        (fn.Positions(), lambda n: n),
        (fn.MaxPool(3), lambda n: n // 3),
        (fn.AvgPool(3), lambda n: n // 3),
        (fn.DepthwiseConv1d(3, "identity", stride=2), lambda n: (n - 1) // 2),
    )

    @pytest.mark.parametrize(("layer", "n_there"), OTHERS, ids=lambda each: type(each).__name__)
    def test_outputs_and_gradients_of_other_layers(self, layer, n_there, rng):
        net, rows, Y = self.build([layer], (T, C)), series(rng), rng.standard_normal((len(LENGTHS), 2))
        for n, row in zip(LENGTHS, net.activations(rows)[1], strict=True):
            assert (row[: n_there(n)] != 0).all() and (row[n_there(n) :] == 0).all()
        _, gradients = net.loss_and_grad(rows, Y)
        assert distance(gradients.flat, finite_difference(lambda: net.loss(rows, Y), net.params, 1e-4)) < 1e-6

    def test_ids(self, rng):
        net = self.build([fn.Embedding(5, 3), fn.Conv1d(4, 2, "identity", padding=1, stride=2)], (T,))
        embedded, convolved = net.activations([rng.integers(0, 5, n) for n in LENGTHS])[1:3]
        for n, row, windows in zip(LENGTHS, embedded, convolved, strict=True):
            assert (row[:n] != 0).all() and (row[n:] == 0).all()
            assert (windows[: n // 2 + 1] != 0).all() and (windows[n // 2 + 1 :] == 0).all()

    def test_masks_of_dropout_differ_by_position(self):
        """Read from the mean over a row's positions of units that are all 1."""
        net = self.build([fn.Dense(40, "exponential", dropout=0.5)], (T, C))
        net.params[:] = 0
        gradient = net.loss_and_grad([np.zeros((7, C))], [[1.0, 1.0]], dropout_seed=0)[1].flat
        kept = -7 * net.views(gradient)["3.W"][:, 0] / 2
        np.testing.assert_allclose(kept, kept.round(), atol=1e-12)
        assert len(np.unique(kept.round())) > 4
        assert abs(kept.mean() - 3.5) < 0.6


def test_training_is_the_same_however_rows_are_given(rng, tmp_path):
    rows, y = series(rng, [*LENGTHS] * 5), rng.integers(0, 3, 30)
    padded = fn.Ragged.from_rows(rows)
    nets = [network("same", dtype="float32") for _ in range(3)]
    for net, X in zip(nets, (rows, padded, fn.Ragged.from_padded(padded.padded(), padded.lengths)), strict=True):
        net.fit(X, y, epochs=3, batch_size=7, random_state=0, validation_data=(rows[:5], y[:5]))
    for net in nets[1:]:
        np.testing.assert_array_equal(net.params, nets[0].params)
    assert nets[0].score(rows, y) == nets[1].score(padded, y)
    nets[0].save(tmp_path / "net.safetensors")
    for copy in (fn.load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(nets[0]))):
        assert copy.ragged
        np.testing.assert_array_equal(copy.forward(rows), nets[0].forward(rows))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("column", [False, True])
def test_rows_and_labels_as_objects(column, rng):
    def objects(rows):
        array = np.empty(len(rows), dtype=object)
        array[:] = rows
        return pytest.importorskip("pandas").Series(array) if column else array

    rows, tags = series(rng, LENGTHS), [rng.integers(-1, 3, n) for n in LENGTHS]
    net = fn.Network([fn.GRU(4, return_sequences=True), fn.Dense(3, "softmax")], input_shape=(T, C), ragged=True)
    np.testing.assert_array_equal(net.forward(objects(rows)), net.forward(rows))
    assert net.loss(objects(rows), objects(tags)) == net.loss(rows, tags)
    with pytest.raises(ValueError, match="Rows of y must agree"):
        net.loss(rows, [tags[0], *(tag[:, None] for tag in tags[1:])])
    with pytest.raises(TypeError, match="row 0 of y must hold real numbers"):
        net.loss(rows, [tag.astype(str) for tag in tags])
    model = fn.NetworkRegressor([fn.GRU(4)], max_iter=1, random_state=0).fit(rows, LENGTHS)
    np.testing.assert_array_equal(model.predict(objects(rows)), model.predict(rows))


def _columns_of(rows):
    pandas, polars, arrow = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    yield polars.Series(rows)
    yield arrow.array(rows)
    yield pandas.Series(rows)
    yield pandas.Series(rows, dtype=pandas.ArrowDtype(arrow.list_(arrow.int64())))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("rows", [[[1, 2, 3], [4, 5, 6]], [[1, 2], [3, 4, 5]]], ids=["equal", "unequal"])
def test_columns_of_lists(rows):
    net = fn.Network([fn.Embedding(9, 2), fn.Dense(2, "softmax")], input_shape=(3,), ragged=True, random_state=0)
    tags = [[number % 2 for number in row] for row in rows]
    model = fn.NetworkClassifier([fn.Embedding(9, 2), fn.GRU(3)], max_iter=1, random_state=0).fit([[1, 2, 3], [4, 5]], [0, 1])
    for column, labels in zip(_columns_of(rows), _columns_of(tags), strict=True):
        np.testing.assert_array_equal(net.forward(column), net.forward(rows))
        assert net.loss(column, labels) == net.loss(rows, tags)
        np.testing.assert_array_equal(model.predict_proba(column), model.predict_proba(rows))
        if len({*map(len, rows)}) > 1:
            np.testing.assert_array_equal(model.fit(column, [0, 1]).predict_proba(rows), model.predict_proba(column))


def test_numbers_as_objects(rng):
    rows = rng.standard_normal((4, 7, C))
    net = network("gru")
    np.testing.assert_array_equal(net.forward(rows.astype(object)), net.forward(rows))
    tagger = fn.Network([fn.Dense(3, "softmax")], input_shape=(T, C), ragged=True, random_state=0)
    tags = rng.integers(0, 3, (4, 7))
    assert tagger.loss(rows, list(tags.astype(object))) == tagger.loss(rows, list(tags))
    with pytest.raises(TypeError, match="must hold real numbers"):
        net.forward(rows.astype(str).astype(object))


@pytest.mark.parametrize("chain", ["pools", "gru", "lstm", "blocks"])
def test_threads_do_not_change_bits(chain, rng):
    rows, y = series(rng, [*LENGTHS] * 20), rng.integers(0, 3, 120)

    def compute():
        net = network(chain, dtype="float32")
        net.fit(rows, y, epochs=2, random_state=0)
        return net.params, net.forward(rows)

    assert_same_bits_by_any_team(compute)


def test_ragged_holds_rows(rng):
    rows = series(rng)
    X = fn.Ragged.from_rows(rows)
    assert len(X) == 6
    assert X.lengths.tolist() == LENGTHS
    for a, b in zip(X, rows, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(X[-1], rows[-1])
    every_other = np.array(LENGTHS) == 9
    for chosen, expected in ((X[[4, 1]], [rows[4], rows[1]]), (X[1:3], rows[1:3]), (X[every_other], [rows[0], rows[4]])):
        assert [row.tolist() for row in chosen] == [row.tolist() for row in expected]
    assert X.padded(10).shape == (6, 10, C)
    assert "6 rows of 4 to 9 positions" in repr(X)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fn.Ragged([[1.0]], [0, 2]), "go up from 0 to the 1 positions"),
        (lambda: fn.Ragged([1.0, 2.0], [0, 2, 1, 2]), "go up from 0"),
        (lambda: fn.Ragged.from_rows([[[1.0]], [[1.0, 2.0]]]), r"row 0 has shape \(1, 1\), row 1 \(1, 2\)"),
        (lambda: fn.Ragged.from_padded(np.ones((2, 3)), [1, 4]), "between 0 and the 3 positions"),
        (lambda: fn.Ragged([1.0, 2.0, 3.0], [0, 2, 3]).padded(1), "length must be at least 2, got 1"),
        (lambda: network("valid").forward([np.ones((2, C))]), "Row 0 of X has 2 positions; the network takes 3 to 9"),
        (lambda: network("strides").forward([np.ones((9, C)), np.ones((2, C))]), "Row 1 of X has 2 positions"),
        (lambda: network("valid").forward([np.ones((10, C))]), "has 10 positions"),
        (lambda: network("valid").forward([np.ones((4, C + 1))]), r"got rows of shape \(length, 4\)"),
        (lambda: network("valid").forward(np.full(T * C + 1, np.nan)), "has nan positions"),
        (lambda: network("valid").forward(np.full(T * C + 1, 4.5)), "has 4.5 positions"),
        (lambda: network("valid", dtype="float32").predict(np.full((2, T * C + 1), 100.0)), "has 100 positions"),
        (lambda: network("valid").fit(np.full((2, T * C + 1), -3.0), [0, 1]), "has -3 positions"),
        (lambda: fn.Network([fn.Flatten(), fn.Dense(1)], input_shape=(T, C), ragged=True), "Flatten takes rows of one length"),
        (lambda: fn.Network([fn.Dense(1)], input_shape=(T, C), ragged=True), r"put fastnet.GlobalPool"),
        (
            lambda: fn.Network([fn.Conv1d(2, 3, stride=2, padding="same"), fn.GlobalPool()], input_shape=(T, C), ragged=True),
            "would start elsewhere",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32", "float64"])
def test_ids_of_one_position_too_many(dtype):
    """The last of them is no length."""
    net = fn.Network([fn.Embedding(9, 4), fn.GlobalPool(), fn.Dense(2, "softmax")], input_shape=(4,), ragged=True)
    X, y = np.array([[1, 2, 3, 4, 3], [1, 2, 3, 4, 4]], dtype), [0, 1]
    for call in (net.forward, net.predict, net.activations, lambda X: net.fit(X, y), lambda X: net.loss(X, y)):
        with pytest.raises(ValueError, match="has 5 positions; the network takes 1 to 4"):
            call(X)
    with pytest.raises(ValueError, match="has 5 positions; the network takes 1 to 4"):
        net.forward(X[0])


def test_ragged_needs_a_shape():
    with pytest.raises(TypeError, match="needs the input_shape of the longest row"):
        fn.Network([fn.Dense(1)], 3, ragged=True)


@pytest.mark.parametrize(("lengths", "message"), [((2, 1), "lengths that layer 2 makes"), ((1, 2), "cannot be 2 positions")])
def test_lengths_that_the_core_refuses(lengths, message):
    passes = core.LAYER_CODES["pass"], (0,), (), (), 0.0, 0, 0.0, 0.0
    with pytest.raises(ValueError, match=message):
        core.Plan(4, [passes, passes], lengths=[(0, 1), lengths])


@pytest.mark.parametrize("layer", [fn.LayerNorm(), fn.BatchNorm()], ids=repr)
def test_norms_of_the_numbers_of_flat_rows_are_refused(layer):
    """They would see the zeros after a row's numbers."""
    for n_members in (1, 2):
        with pytest.raises(ValueError, match=f"Layer 1: {type(layer).__name__} takes rows of one length, got rows of unequal"):
            fn.Network([layer, fn.Dense(2)], input_shape=(T,), ragged=True, n_members=n_members)


@pytest.mark.parametrize(
    "layer", [fn.MaxPool((2, 1)), fn.AvgPool((1, 2)), fn.MaxPool(2), fn.GlobalPool(), fn.Conv2d(2, 2)], ids=repr
)
def test_images_of_unequal_length_are_refused(layer):
    with pytest.raises(ValueError, match=f"{type(layer).__name__} takes images of one size, got rows of unequal length: "):
        fn.Network([layer, fn.Dense(2, "softmax")], input_shape=(4, 4, 1), ragged=True)


class TestLastOfRowsWhosePositionsHavePositions:
    """What it makes of rows (length, w, c) has all w positions, also where the longest row has as many."""

    @pytest.mark.parametrize("n_members", [1, 2])
    @pytest.mark.parametrize(
        "layers",
        [
            [fn.Last(), fn.GRU(2)],
            [fn.Dense(3, "tanh"), fn.Last(), fn.Last()],
            [fn.Last(), fn.Flatten()],
            [fn.Last(), fn.GlobalPool("max")],
            [fn.Last(), fn.Conv1d(2, 2), fn.GlobalPool()],
        ],
        ids=str,
    )
    def test_each_row_is_as_it_is_alone(self, layers, n_members, rng):
        net, whole = (
            fn.Network([*layers, fn.Dense(2)], input_shape=(3, 3, 2), ragged=ragged, n_members=n_members, random_state=0)
            for ragged in (True, False)
        )
        rows = [rng.standard_normal((n, 3, 2)) for n in (1, 3, 2)]
        filled = np.stack([np.concatenate([np.zeros((3 - len(row), 3, 2)), row]) for row in rows])
        np.testing.assert_allclose(net.forward(rows), whole.forward(filled), rtol=1e-6)

    def test_ids(self, rng):
        net = fn.Network([fn.Embedding(5, 2), fn.Last(), fn.GRU(2)], input_shape=(3, 3), ragged=True, random_state=0)
        short, last = rng.integers(0, 5, (1, 3)), rng.integers(0, 5, (2, 3))
        np.testing.assert_array_equal(net.forward([short, np.concatenate([last, short])]), net.forward([short, short]))


@pytest.mark.parametrize(
    "layer", [fn.Columns([0, 1]), fn.NumericEmbedding("plr"), fn.CategoryEmbedding([3] * T * C), fn.FeatureTokens(2)], ids=repr
)
def test_layers_of_flat_rows_are_refused(layer):
    with pytest.raises(
        ValueError, match="takes rows of one length, got rows of unequal length: put GlobalPool or Last before it"
    ):
        fn.Network([layer, fn.Dense(2)], input_shape=(T, C), ragged=True)


def test_branches_whose_rows_end_at_different_positions():
    """Of 9 positions both branches make 3, of 5 they make 2 and 1."""
    branches = fn.Concat([fn.Conv1d(2, 3, stride=3)], [fn.Conv1d(2, 5, stride=2)])
    net = fn.Network([branches, fn.GlobalPool(), fn.Dense(2)], input_shape=(T, C))
    assert net._graph.row_shapes[-3] == (3, 4)
    with pytest.raises(ValueError, match="all must have the same positions"):
        fn.Network([branches, fn.GlobalPool(), fn.Dense(2)], input_shape=(T, C), ragged=True)


@pytest.mark.parametrize("y", [[0, 1, 2], np.array([0, 1, 2])])
def test_one_label_for_rows_whose_positions_have_one_each(y, rng):
    net = fn.Network([fn.Dense(3, "softmax")], input_shape=(T, C), ragged=True)
    with pytest.raises(ValueError, match=r"for each position of the output, \(3, 9\), got shape \(3,\)"):
        net.loss_and_grad(series(rng, (9, 4, 7)), y)


def test_a_step_is_a_position_of_concatenated_branches(rng):
    """Causal branches, one position after the other, give what whole rows give; later positions change nothing."""
    layers = [
        fn.Residual([fn.Concat([fn.Dense(1, "tanh")], [fn.Dense(C - 1, "tanh")])]),
        fn.Concat([fn.GRU(2, return_sequences=True)], [fn.Attention(1, causal=True)]),
        fn.Dense(3, "softmax"),
    ]
    net = fn.Network(layers, input_shape=(T, C), dtype="float64", random_state=0)
    row = rng.standard_normal((T, C))
    whole, states = net.forward(row), None
    for t in range(T):
        outputs, states = net.step(row[t], states)
        assert distance(outputs, whole[t]) < 1e-12
    changed = row.copy()
    changed[5:] += 1
    np.testing.assert_array_equal(net.forward(changed)[:5], whole[:5])


@pytest.mark.parametrize("form", [list, fn.Ragged.from_rows])
def test_blocks_of_rows_of_unequal_length(form, rng, tmp_path):
    rows, y = series(rng, LENGTHS * 5), np.arange(30) % 3
    blocks = fn.data.from_batches(lambda number: (form(rows[10 * number :][:10]), y[10 * number :][:10]), 3)
    one, other = network("gru"), network("gru")
    one.fit(rows, y, epochs=2, sampling="sequential")
    other.fit(blocks, epochs=2, sampling="sequential", callbacks=[fn.Checkpoint(tmp_path / "state")])
    np.testing.assert_array_equal(one.params, other.params)
    np.testing.assert_array_equal(np.concatenate(list(fn.data.predict(one, blocks))), one.predict(rows))
