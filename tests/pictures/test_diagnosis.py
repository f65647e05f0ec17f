"""The report of a diagnosis, its inputs, and the callback that watches training."""

from __future__ import annotations

import json
import math
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
from layer_networks import build, rows

import fastnet as fn
from fastnet._models import model_view
from fastnet.inspection import DiagnosisCallback, DiagnosisWarning, Recorder, diagnose


@pytest.fixture
def sick(make_network, digits):
    net = make_network((64, 8, 10), "relu")
    net.biases[0][:6] = -1000
    return net, *digits


class Tags(HTMLParser):
    """Counts tags and checks that they close in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.count = [], {}
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_text_names_what_where_meaning_and_change(sick):
    text = repr(diagnose(*sick))
    assert text.startswith("Diagnosis of Network 64-8-10: dead units\n")
    assert "1. dead units (layer 1)" in text
    assert "75% of the 8 relu units of layer 1 are off on all 1000 rows." in text
    assert "gets no gradient" in text
    assert "Change: Use leaky_relu" in text
    assert max(map(len, text.splitlines())) <= 120


def test_text_of_a_healthy_network(make_network, digits):
    text = repr(diagnose(make_network((64, 8, 10)), *digits))
    assert text.startswith("Diagnosis of Network 64-8-10: nothing wrong on 1000 rows\n")
    assert "Change" not in text


def test_table_has_a_row_a_layer(sick):
    lines = repr(diagnose(*sick)).splitlines()
    header = next(k for k, line in enumerate(lines) if "activation" in line)
    assert lines[header + 1].split()[:4] == ["1", "relu", "8", "75%"]
    assert lines[header + 2].split()[:4] == ["2", "softmax", "10", "-"]


def test_deep_networks_are_elided_in_text_but_not_in_the_dict(make_network, digits):
    diagnosis = diagnose(make_network((64, *[5] * 39, 10)), *digits)
    assert "Network 64-5-5-5-...-5-5-5-10:" in repr(diagnosis)
    assert len(repr(diagnosis).splitlines()) < 40
    assert len(diagnosis.to_dict()["layers"]) == 40


def test_html_is_well_formed_and_complete(sick):
    diagnosis = diagnose(*sick)
    tags = Tags(diagnosis._repr_html_())
    assert tags.count["tr"] == 3 and tags.count["li"] == 1 and tags.count["th"] == 10
    assert diagnosis.findings[0].change in diagnosis._repr_html_()


def test_html_escapes_feature_names(digits):
    from sklearn.neural_network import MLPClassifier

    pandas = pytest.importorskip("pandas")
    X, y = digits
    frame = pandas.DataFrame(1000 * X).rename(columns=lambda number: f"<b>{number}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPClassifier((5,), max_iter=1).fit(frame, y)
    html = diagnose(model, frame, y)._repr_html_()
    assert "&lt;b&gt;" in html and "<b>34" not in html


def test_dict_is_plain(sick):
    content = json.loads(json.dumps(diagnose(*sick).to_dict()))
    assert content["healthy"] is False
    assert set(content["findings"][0]) == {"kind", "where", "what", "meaning", "change"}
    assert content["layers"][0]["dead_share"] == 0.75
    assert len(content["inputs"]["scales"]) == 64
    assert content["inputs"]["targets"] is None


def test_dict_of_a_regression_is_plain(make_network, digits):
    X, _ = digits
    content = json.loads(json.dumps(diagnose(make_network((64, 8, 2), output="identity"), X, X[:, :2]).to_dict()))
    assert len(content["inputs"]["targets"]["means"]) == 2


def test_measurements_are_those_of_the_engine(make_network, digits):
    X, y = digits[0][:1000], digits[1][:1000]
    net = make_network((64, 8, 10))
    layers = diagnose(net, X, y).layers
    _, gradients = net.loss_and_grad(X, y, loss="cross_entropy")
    activations = net.activations(X)
    for l, layer in enumerate(layers):
        assert layer.weight_scale == pytest.approx(np.sqrt(np.mean(net.weights[l] ** 2)), rel=1e-5)
        assert layer.activation_scale == pytest.approx(np.sqrt(np.mean(activations[l + 1] ** 2)), rel=1e-5)
        assert layer.gradient_scale == pytest.approx(np.sqrt(np.mean(gradients.weights[l] ** 2)), rel=1e-3)


def test_saturation_is_counted(make_network, digits):
    net = make_network((64, 8, 10), "tanh")
    net.biases[0][:4] = 50
    assert diagnose(net, *digits).layers[0].saturated_share == 0.5
    assert diagnose(net, *digits).layers[1].saturated_share is None, "outputs may saturate"


@pytest.mark.parametrize("form", ["list", "csr", "frame", "fortran"])
def test_forms_of_data(sick, form):
    net, X, y = sick
    expected = diagnose(net, X, y)
    if form == "list":
        X = X.tolist()
    elif form == "csr":
        X = pytest.importorskip("scipy.sparse").csr_array(X)
    elif form == "frame":
        X = pytest.importorskip("pandas").DataFrame(X)
    else:
        X = np.asfortranarray(X)
    assert diagnose(net, X, y).to_dict() == expected.to_dict()


def test_neither_model_nor_data_change(sick):
    net, X, y = sick
    params, data = net.params.copy(), X.copy()
    X.flags.writeable = False
    diagnose(net, X, y)
    X.flags.writeable = True
    np.testing.assert_array_equal(net.params, params)
    np.testing.assert_array_equal(X, data)


def test_what_does_not_fit(sick):
    net, X, y = sick
    with pytest.raises(ValueError, match="no rows"):
        diagnose(net, X[:0])
    with pytest.raises(ValueError, match="1797 rows, but y has 5"):
        diagnose(net, X, y[:5])
    with pytest.raises(ValueError, match="takes 64 features"):
        diagnose(net, X[:, :3])
    with pytest.raises(ValueError, match="no_such_loss"):
        diagnose(net, X, y, loss="no_such_loss")


def fit(net, X, y, callback, rate, epochs=4):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options = {"optimizer": fn.SGD(rate), "batch_size": 32, "epochs": epochs, "random_state": 0}
        net.fit(X, y, loss="cross_entropy", callbacks=[callback], **options)
    return [str(warning.message) for warning in caught if issubclass(warning.category, DiagnosisWarning)]


def test_callback_warns_once(make_network, digits):
    callback = DiagnosisCallback(*digits)
    messages = fit(make_network((64, 64, 64, 10), "relu"), *digits, callback, rate=3.0)
    assert len(messages) == 1
    assert messages[0].startswith("After epoch 1: Network 64-64-64-10: dead units")
    assert "Lower the learning rate" in messages[0]
    assert not callback.diagnosis_.healthy


def test_callback_is_silent_on_a_healthy_run(make_network, digits):
    callback = DiagnosisCallback(*digits)
    assert fit(make_network((64, 64, 64, 10), "relu"), *digits, callback, rate=0.1) == []
    assert callback.diagnosis_.healthy


def test_callback_measures_the_updates(make_network, digits):
    X, y = digits
    net = make_network((64, 8, 10))
    before = [W.copy() for W in net.weights]
    callback = DiagnosisCallback(X, y)
    fit(net, X, y, callback, rate=0.1, epochs=1)
    n_updates = math.ceil(len(X) / 32)
    for layer, W, was in zip(callback.diagnosis_.layers, net.weights, before, strict=True):
        expected = np.linalg.norm(W - was) / np.linalg.norm(was) / math.sqrt(n_updates)
        assert layer.update_ratio == pytest.approx(expected, rel=1e-4)


def test_callback_looks_every_so_many_epochs(make_network, digits):
    messages = fit(make_network((64, 64, 64, 10), "relu"), *digits, DiagnosisCallback(*digits, every=3), rate=3.0)
    assert len(messages) == 1 and messages[0].startswith("After epoch 3:")
    with pytest.raises(ValueError, match="every"):
        DiagnosisCallback(*digits, every=0)


def test_callback_warns_again_in_the_next_run(make_network, digits):
    callback = DiagnosisCallback(*digits)
    for _ in range(2):
        assert len(fit(make_network((64, 64, 64, 10), "relu"), *digits, callback, rate=3.0, epochs=1)) == 1


@pytest.mark.parametrize("hidden", ["norm", "residual", "table", "piecewise"])
@pytest.mark.parametrize("options", [{}, {"n_members": 2, "ensemble": "batch"}])
def test_callback_and_recorder_of_any_network(hidden, options, rng):
    assert_watched(build(hidden, **options), rows(hidden, 64, rng), rng)


def test_callback_and_recorder_of_members_with_operations_of_their_own(rng):
    layers = [fn.Conv1d(3, 2, "tanh"), fn.GRU(4), fn.Dense(2, "identity")]
    net = fn.Network(layers, input_shape=(5, 2), n_members=2, dtype="float64", random_state=0)
    assert_watched(net, rng.normal(size=(64, 10)), rng)
    assert [part.path for part in model_view(net).parts] == ["1:0", "2:0", "3:0", "1:1", "2:1", "3:1", "3"]


def assert_watched(net, X, rng):
    """Moves and distributions of all its parts are seen."""
    y = rng.normal(size=(64, 2))
    before = {name: view.copy() for name, view in net.parameters.items()}
    callback, recorder = DiagnosisCallback(X, y), Recorder(X, y)
    net.fit(X, y, batch_size=64, epochs=1, callbacks=[callback, recorder])
    for layer, part in zip(callback.diagnosis_.layers, model_view(net).parts, strict=True):
        if part.weight is None:
            assert layer.update_ratio is None
            continue
        W = part.weights(before)
        move = np.linalg.norm(part.weights(net.parameters) - W) / np.linalg.norm(W)
        assert layer.update_ratio == pytest.approx(move, rel=1e-9)
    shot = recorder.snapshots[-1]
    assert len(shot.layer_names) == len(shot.activations) == len(shot.gradients)


def test_the_loss_of_an_ensemble_is_that_of_its_mean(rng):
    net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(2)], 4, n_members=3, dtype="float64", random_state=0)
    X, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    targets = diagnose(net, X, y).inputs.targets
    expected = fn.losses.get("squared_error", net.output_activation).elementwise(net.forward(X), y).mean()
    np.testing.assert_allclose(targets.model_loss, expected)


class TestFormsOfRows:
    """Networks are diagnosed on rows as they are trained on them."""

    @staticmethod
    def pairs(rng):
        encoder, decoder = [fn.Embedding(5, 4), fn.GRU(4, return_sequences=True)], [fn.Embedding(5, 4), fn.CrossAttention(2)]
        layers = [fn.EncoderDecoder(encoder, decoder), fn.Dense(3, "softmax")]
        net = fn.Network(layers, source_shape=(6,), input_shape=(4,), ragged=True, dtype="float64", random_state=0)
        lengths = rng.integers(1, 5, 60)
        X = [rng.integers(0, 5, n + 2) for n in lengths], [rng.integers(0, 5, n) for n in lengths]
        return net, X, [rng.integers(0, 3, n) for n in lengths]

    @staticmethod
    def series(rng):
        layers = [fn.Conv1d(3, 2, "tanh", padding="same"), fn.LSTM(4), fn.Dense(2)]
        net = fn.Network(layers, input_shape=(300, 2), ragged=True, dtype="float64", random_state=0)
        X = [rng.normal(size=(n, 2)) for n in rng.integers(200, 301, 60)]
        return net, X, rng.normal(size=(60, 2))

    @pytest.mark.parametrize("form", ["pairs", "series"])
    def test_nothing_is_wrong(self, form, rng):
        """Lengths of rows, and ids, are no inputs whose size matters."""
        net, X, y = getattr(self, form)(rng)
        for diagnosis in (diagnose(net, X, y), diagnose(net, X)):
            assert diagnosis.healthy, diagnosis
            assert len(diagnosis.inputs.scales) == (0 if form == "pairs" else 600)

    @pytest.mark.parametrize("form", ["pairs", "series"])
    def test_gradients_are_those_of_the_loss(self, form, rng):
        net, X, y = getattr(self, form)(rng)
        seen = {str(layer.layer): layer.gradient_scale for layer in diagnose(net, X, y).layers}
        gradients = net.views(net.loss_and_grad(X, y)[1].flat)
        parts = [part for part in model_view(net).parts if part.weight]
        for part in parts:
            assert seen[part.path] == pytest.approx(np.sqrt(np.mean(part.weights(gradients) ** 2)), rel=1e-9)

    def test_callbacks_take_them_too(self, rng):
        net, X, y = self.pairs(rng)
        recorder = Recorder(X, y)
        net.fit(X, y, epochs=2, optimizer=fn.Adam(0.001), random_state=0, callbacks=[DiagnosisCallback(X, y), recorder])
        assert len(recorder.snapshots) == 3


def test_a_single_row_has_no_variation_to_lose(make_network, planar):
    X, y = planar
    net = make_network((2, 8, 1), output="sigmoid")
    assert diagnose(net, X[:1], y[:1]).healthy
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.fit(X, y, epochs=2, callbacks=[DiagnosisCallback(X[:1], y[:1])], random_state=0)


def test_targets_that_are_all_alike_do_not_judge_tol(rng):
    pytest.importorskip("sklearn")
    X, y = rng.normal(size=(60, 3)), np.ones(60)
    model = fn.MLPRegressor(hidden_layer_sizes=(4,), max_iter=500, tol=1e-2, random_state=0).fit(X, y)
    assert "large_tol" not in [finding.kind for finding in diagnose(model, X, y).findings]
