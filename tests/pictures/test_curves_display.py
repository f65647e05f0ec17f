"""Activation functions and histories, read through their artists."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn
from fastnet.plotting import ActivationDisplay, HistoryDisplay
from fastnet.plotting._history import _score_name

pytestmark = [
    pytest.mark.usefixtures("close_figures"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def line(ax, label):
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found


def circle(ax):
    """Positions at which the best epoch is marked, as (epoch, value)."""
    (found,) = [line for line in ax.lines if line.get_marker() == "o"]
    return found.get_xdata()[0], found.get_ydata()[0]


def shaded(ax):
    """The spans of z that are shaded as saturated, as (from, to)."""
    spans = []
    for area in ax.collections:
        for path in area.get_paths():
            spans.append((path.vertices[:, 0].min(), path.vertices[:, 0].max()))
    return spans


def test_each_activation_with_its_derivative():
    display = ActivationDisplay.from_activations(["sigmoid", "tanh", fn.LeakyReLU(0.2)])
    assert [ax.get_title() for ax in display.axes_] == ["sigmoid", "tanh", "leaky_relu(0.2)"]
    for ax, activation in zip(display.axes_, [fn.Sigmoid(), fn.Tanh(), fn.LeakyReLU(0.2)], strict=True):
        z = line(ax, "g(z)").get_xdata()
        np.testing.assert_allclose(line(ax, "g(z)").get_ydata(), activation(z))
        np.testing.assert_allclose(line(ax, "g'(z)").get_ydata(), activation.derivative(z))


def test_saturation_is_shaded_where_the_derivative_is_small():
    display = ActivationDisplay.from_activations(["sigmoid", "tanh", "relu", "leaky_relu", "identity"])
    sigmoid, tanh, relu, leaky, identity = map(shaded, display.axes_)
    edge = np.arccosh(np.sqrt(1 / 0.05))  # tanh'(z) = 1 / cosh(z)^2 = 0.05, and sigmoid(z) = (1 + tanh(z / 2)) / 2
    np.testing.assert_allclose(np.ravel(tanh), [-6, -edge, edge, 6], atol=0.03)
    np.testing.assert_allclose(np.ravel(sigmoid), [-6, -2 * edge, 2 * edge, 6], atol=0.03)
    np.testing.assert_allclose(np.ravel(relu), [-6, 0], atol=0.03)
    assert leaky == [] and identity == []


def test_legend_explains_what_is_drawn():
    legend = ActivationDisplay.from_activations(["identity", "tanh"]).figure_.axes[-1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["g(z)", "g'(z)", "saturated"]


def test_activations_of_a_model(make_network):
    net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(3, "relu"), fn.Dense(3, "tanh"), fn.Dense(2, "softmax")], 2)
    assert ActivationDisplay.from_estimator(net).names == ["tanh", "relu"]
    with pytest.raises(ValueError, match="only activation is softmax"):
        ActivationDisplay.from_estimator(make_network((3, 2)))


def test_softmax_has_no_curve():
    with pytest.raises(ValueError, match="softmax depends on all units"):
        ActivationDisplay.from_activations(["softmax"])


def test_history_of_fit(planar):
    X, y = planar
    net = fn.Network([fn.Dense(4, "tanh"), fn.Dense(1, "sigmoid")], 2, random_state=0)
    history = net.fit(X, y, loss="binary_cross_entropy", epochs=6, validation_data=(X[:50], y[:50]), random_state=0)
    display = HistoryDisplay.from_history(history)
    loss = display.axes_[0]
    np.testing.assert_array_equal(line(loss, "training").get_ydata(), history.loss)
    np.testing.assert_array_equal(line(loss, "validation").get_ydata(), history.val_loss)
    np.testing.assert_array_equal(line(loss, "training").get_xdata(), np.arange(1, 7))
    best = line(loss, f"best epoch {history.best_epoch + 1}")
    assert best.get_ydata() == [min(history.val_loss)]
    labels = [ax.get_ylabel() for ax in display.axes_]
    assert labels == ["loss", "learning rate"], "the gradient norm was not tracked, so it has no panel"


def test_all_four_quantities():
    run = {"loss": [3, 2, 1], "val_loss": [3, 1, 2], "learning_rate": [0.1, 0.1, 0.01], "grad_norm": [5, 4, 3]}
    display = HistoryDisplay.from_history(run)
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss", "learning rate", "gradient norm"]
    np.testing.assert_array_equal(display.axes_[2].lines[0].get_ydata(), [5, 4, 3])
    assert display.axes_[1].get_ylim()[0] == 0, "a constant learning rate is not blown up"
    assert line(display.axes_[0], "best epoch 2").get_xdata() == [2]


def test_several_runs_are_told_apart():
    runs = {name: {"loss": [3, 2, 1 + k], "val_loss": [3, 2 - k, 2]} for k, name in enumerate(["adam", "sgd"])}
    loss = HistoryDisplay.from_history(runs).axes_[0]
    labels = [text.get_text() for text in loss.get_legend().get_texts()]
    assert labels == ["adam (best epoch 2)", "thin: training", "sgd (best epoch 2)"]
    assert line(loss, "adam (best epoch 2)").get_color() != line(loss, "sgd (best epoch 2)").get_color()


def test_more_runs_than_hues_differ_in_their_dashes():
    runs = {f"run {k}": {"loss": [3, 2, 1]} for k in range(13)}
    lines = [entry for entry in HistoryDisplay.from_history(runs).axes_[0].lines if entry.get_label().startswith("run")]
    assert len({(entry.get_color(), str(entry._unscaled_dash_pattern)) for entry in lines}) == 13


def test_log_scale_follows_the_range():
    assert HistoryDisplay.from_history({"loss": [100, 10, 1]}).axes_[0].get_yscale() == "log"
    assert HistoryDisplay.from_history({"loss": [3, 2, 1]}).axes_[0].get_yscale() == "linear"
    assert HistoryDisplay.from_history({"loss": [3, 2, 1]}, log_scale=True).axes_[0].get_yscale() == "log"
    assert HistoryDisplay.from_history({"loss": [100, 1, -1]}).axes_[0].get_yscale() == "linear"


@pytest.mark.parametrize("library", ["fastnet.estimators", "sklearn.neural_network"])
def test_history_of_an_estimator(library, planar):
    module = pytest.importorskip(library)
    model = module.MLPClassifier((4,), max_iter=8, early_stopping=True, random_state=0).fit(*planar)
    display = HistoryDisplay.from_estimator(model)
    np.testing.assert_array_equal(line(display.axes_[0], "training").get_ydata(), model.loss_curve_)
    (scores,) = [ax for ax in display.axes_ if ax.get_ylabel() == "validation score: accuracy"]
    np.testing.assert_array_equal(scores.lines[0].get_ydata(), model.validation_scores_)
    best = int(np.argmax(model.validation_scores_))
    assert line(display.axes_[0], f"best epoch {best + 1}").get_xdata() == [best + 1]
    assert circle(scores) == (best + 1, model.best_validation_score_)
    named = HistoryDisplay.from_estimator({"one": model, "two": model})
    assert len(named.axes_[0].get_legend().get_texts()) >= 2


def test_best_epoch_is_the_one_that_was_kept(planar):
    """For an estimator, the epoch of the best score, although another epoch has the lowest validation loss."""
    scores = iter([0.1, 0.2, 0.9, 0.3, 0.4, 0.5])
    options = {"early_stopping": True, "n_iter_no_change": np.inf, "max_iter": 6, "random_state": 0}
    model = fn.MLPClassifier((4,), scoring=lambda estimator, X, y: next(scores), **options).fit(*planar)
    assert np.argmin(model.validation_loss_curve_) != 2
    loss, score = HistoryDisplay.from_estimator(model).axes_
    assert circle(loss) == (3, model.validation_loss_curve_[2])
    assert circle(score) == (3, 0.9)
    assert line(loss, f"best epoch {model.best_epoch_}")


@pytest.mark.parametrize(
    ("stopping", "wrong"),
    [(fn.EarlyStopping("loss"), 1), (fn.EarlyStopping(min_delta=0.5, patience=3), 0)],
)
def test_best_epoch_of_a_history_is_the_one_that_was_kept(planar, stopping, wrong):
    """Although another epoch has the lowest validation loss, which grows if the labels are wrong."""
    X, y = planar
    net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(1, "sigmoid")], 2, random_state=0)
    validation = X[:9], np.abs(wrong - y[:9])
    history = net.fit(X, y, optimizer=fn.Adam(0.05), epochs=12, validation_data=validation, callbacks=[stopping])
    assert history.best_epoch == history.kept_epoch == stopping.best_epoch
    assert history.best_epoch != np.argmin(history.val_loss)
    assert circle(HistoryDisplay.from_history(history).axes_[0])[0] == stopping.best_epoch + 1


def test_no_best_epoch_is_marked_where_there_is_none(planar):
    options = {"early_stopping": True, "max_iter": 3, "random_state": 0}
    model = fn.MLPClassifier((4,), scoring=lambda estimator, X, y: np.nan, **options).fit(*planar)
    for runs in (model, {"one": model, "other": model}):
        loss = HistoryDisplay.from_estimator(runs).axes_[0]
        assert not [entry for entry in loss.lines if entry.get_marker() == "o"]
        assert not [text for text in loss.get_legend().get_texts() if "best" in text.get_text()]


def test_runs_share_a_panel_where_they_measure_the_same(planar):
    def fit(scoring):
        options = {"early_stopping": True, "max_iter": 5, "random_state": 0}
        return fn.MLPClassifier((4,), scoring=scoring, **options).fit(*planar)

    models = {"a": fit(None), "b": fit("roc_auc"), "c": fit("accuracy"), "d": fit("loss")}
    display = HistoryDisplay.from_estimator(models)
    labels = [ax.get_ylabel() for ax in display.axes_]
    assert labels == ["loss", "validation score: accuracy", "validation score: roc_auc"], "the fourth score is the loss itself"
    curves = [[entry.get_label() for entry in ax.lines if entry.get_marker() == "None"] for ax in display.axes_[1:]]
    assert curves == [["a", "c"], ["b"]]
    best = [text.get_text() for text in display.axes_[0].get_legend().get_texts() if "best" in text.get_text()]
    assert best == [f"{name} (best epoch {model.best_epoch_})" for name, model in models.items()]


def test_losses_share_a_panel_where_they_are_the_same(planar):
    X, y = planar

    def fit(**options):
        return fn.MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, early_stopping=True, **options).fit(X, X[:, 0] + y)

    models = {"a": fit(), "b": fit(loss="huber"), "c": fit(scale_target=True), "d": fit(loss=fn.SquaredError())}
    display = HistoryDisplay.from_estimator(models)
    labels = [ax.get_ylabel() for ax in display.axes_]
    expected = ["loss: squared error", "loss: huber", "loss: squared error, scaled y", "validation score: R²"]
    assert labels == expected
    texts = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in display.axes_[:3]]
    assert [[text[0] for text in panel] for panel in texts] == [["a", "t", "d"], ["b", "t"], ["c", "t"]]
    assert len(display.axes_[3].lines) == 8, "four scores, each with its best epoch"
    (loss, score) = HistoryDisplay.from_estimator(models["c"]).axes_
    assert loss.get_ylabel() == "loss"


def test_score_of_several_quantiles_is_the_loss(planar):
    X, y = planar
    model = fn.MLPRegressor("quantile", (4,), quantile=[0.1, 0.9], early_stopping=True, max_iter=4, random_state=0).fit(X, y)
    (loss,) = HistoryDisplay.from_estimator(model).axes_
    assert circle(loss) == (model.best_epoch_, min(model.validation_loss_curve_))


def test_names_of_scores_of_any_run():
    def f1(estimator, X, y):
        return 0.0

    assert _score_name(fn.MLPClassifier(scoring=f1)) == "f1"
    runs = {"one": {"loss": [2, 1], "val_score": [0, 1], "score_name": "AUC"}, "two": {"loss": [2, 1], "val_score": [1, 0]}}
    labels = [ax.get_ylabel() for ax in HistoryDisplay.from_history(runs).axes_]
    assert labels == ["loss", "validation score: AUC", "validation score"]


def test_histories_without_losses():
    from sklearn.neural_network import MLPClassifier

    with pytest.raises(ValueError, match="holds no loss"):
        HistoryDisplay.from_history(fn.History())
    with pytest.raises(ValueError, match="'b' holds no loss"):
        HistoryDisplay.from_history({"a": {"loss": [1]}, "b": {"loss": []}})
    with pytest.raises(ValueError, match="no loss_curve_"):
        HistoryDisplay.from_estimator(MLPClassifier())


def test_models_without_curves_are_told_where_theirs_are(make_network):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with pytest.raises(TypeError, match="Network keeps no curves: give the History that its fit returned to from_history"):
        HistoryDisplay.from_estimator(make_network((2, 3, 2)))
    with pytest.raises(TypeError, match=r"Pipeline keeps no curves: give its last step, model\[-1\]"):
        HistoryDisplay.from_estimator({"scaled": make_pipeline(StandardScaler())})


def test_what_is_no_estimator_is_told_what_to_give():
    pytest.importorskip("sklearn")
    for given, got in [
        (fn.Network, "the class Network"),
        ([fn.MLPClassifier()], "a list"),
        (fn.History(loss=[1.0]), "a History"),
    ]:
        with pytest.raises(TypeError, match=f'fitted estimator, or several by name, {{"name": model}}, got {got}'):
            HistoryDisplay.from_estimator(given)


def test_what_is_no_history_is_told_what_to_give(make_network):
    history = fn.History(loss=[1.0])
    for given, got in [([history, history], "a list"), (fn.History, "the class History"), (make_network((2, 2)), "a Network")]:
        with pytest.raises(TypeError, match=f'a History, or several by name, {{"name": history}}, got {got}'):
            HistoryDisplay.from_history(given)


def test_estimators_that_keep_a_history(rng):
    pytest.importorskip("sklearn")
    series = rng.normal(size=(40, 6))
    model = fn.SequenceRegressor(max_iter=3, random_state=0).fit(series, series.sum(1))
    loss = HistoryDisplay.from_estimator(model).axes_[0]
    np.testing.assert_array_equal(line(loss, "training").get_ydata(), model.history_.loss)


def test_estimators_of_several_networks_have_a_line_for_each(rng):
    pytest.importorskip("sklearn")
    X = rng.normal(size=(80, 3))
    model = fn.TabularRegressor(preset="fast", n_epochs=2, random_state=0).fit(X, X.sum(1))
    assert len(model.history_) > 1
    loss = HistoryDisplay.from_estimator({"tables": model}).axes_[0]
    for number, history in enumerate(model.history_, start=1):
        (drawn,) = [one for one in loss.lines if one.get_label().startswith(f"tables, network {number} (")]
        np.testing.assert_array_equal(drawn.get_ydata(), history.loss)
    names = [text.get_text().split(" (")[0] for text in HistoryDisplay.from_estimator(model).ax_.get_legend().get_texts()]
    assert names == [f"network {number}" for number in range(1, len(model.history_) + 1)]


def test_nothing_to_draw():
    for draw in (HistoryDisplay.from_history, HistoryDisplay.from_estimator):
        with pytest.raises(ValueError, match="no run to draw"):
            draw({})
    with pytest.raises(ValueError, match="no activation to draw"):
        ActivationDisplay.from_activations([])


def test_nan_losses_are_left_out_of_the_best():
    loss = HistoryDisplay.from_history({"loss": [2, 1, np.nan]}).axes_[0]
    assert line(loss, "best epoch 2").get_ydata() == [1]
    assert fn.History(loss=[2, 1, np.nan]).best_epoch == 1
    assert fn.History(loss=[np.nan]).best_epoch == fn.History().best_epoch == -1
