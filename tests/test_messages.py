"""Mistakes that newcomers make, and the messages that tell them what to write instead."""

from __future__ import annotations

import inspect
import pickle
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import fastnet as fn
from fastnet._session import Session

X = np.random.default_rng(0).normal(size=(60, 3))
y = np.arange(60) % 3
TEXT = np.array(list("abc") * 20)


def network():
    return fn.Network([fn.Dense(3, "softmax")], 3, random_state=0)


ESTIMATOR_MISTAKES = {
    "a number as learning_rate": (fn.MLPClassifier(learning_rate=0.01), "The number goes to learning_rate_init"),
    "layers as the first argument": (fn.MLPRegressor((128, 64)), r"MLPRegressor\(hidden_layer_sizes=\(128, 64\)\)"),
    "one layer as the first argument": (fn.MLPRegressor(64), r"MLPRegressor\(hidden_layer_sizes=64\)"),
    "mse": (fn.MLPRegressor("mse"), "Did you mean 'squared_error'"),
    "mae": (fn.MLPRegressor("mae"), "Did you mean 'absolute_error'"),
    "ReLU": (fn.MLPClassifier(activation="ReLU"), "a str among elu, exponential, gelu.* Did you mean 'relu'"),
    "Adam": (fn.MLPClassifier(solver="Adam"), "Did you mean 'adam'"),
    "a share of rows": (fn.MLPClassifier(early_stopping=True, validation_split=0.2), "goes to validation_fraction"),
    "verbose": (fn.MLPClassifier(verbose="yes"), "an int in the range .*, an instance of 'bool'.* or a str among {'progress'}"),
    "roc_auc of three": (fn.MLPClassifier(early_stopping=True, scoring="roc_auc"), "use 'roc_auc_ovr'"),
}


@pytest.mark.parametrize("mistake", ESTIMATOR_MISTAKES)
def test_estimators(mistake):
    estimator, message = ESTIMATOR_MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, y)


ARGUMENTS_OF_ESTIMATORS = {
    "l2": r"alpha=l2 \* batch_size",
    "lr": "'learning_rate_init'",
    "epochs": "'max_iter'",
    "optimizer": "'solver'",
    "progress": 'verbose="progress"',
    "validation_data": r"fit\(X_val=X_val, y_val=y_val\)",
    "sampling": "'shuffle'",
    "max_itr": "'max_iter'",
}


@pytest.mark.parametrize("cls", [fn.MLPClassifier, fn.MLPRegressor])
@pytest.mark.parametrize("word", ARGUMENTS_OF_ESTIMATORS)
def test_arguments_of_estimators(cls, word):
    meant = ARGUMENTS_OF_ESTIMATORS[word]
    with pytest.raises(TypeError, match=f"{cls.__name__} has no option '{word}'; .* Did you mean {meant}"):
        cls(**{word: 1})


@pytest.mark.parametrize("cls", [fn.MLPClassifier, fn.MLPRegressor])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("word", ["epochs", "max_iter"])
def test_options_of_training_given_to_methods_of_estimators(cls, method, word):
    name = cls.__name__
    with pytest.raises(TypeError, match=rf"{name}.{method} has no option '{word}'; .* Did you mean {name}\(max_iter=...\)"):
        getattr(cls(), method)(X, y, **{word: 3})


@pytest.mark.parametrize("cls", [fn.TabularClassifier, fn.ImageClassifier, fn.TextClassifier])
def test_options_of_training_given_to_fit_of_estimators_that_choose(cls):
    with pytest.raises(
        TypeError, match=f"{cls.__name__}.fit has no option 'verbose'; it has X, y.* {cls.__name__}\\(verbose=...\\)"
    ):
        cls().fit(X, y, verbose=True)


def test_validation_rows_by_the_names_of_boosting():
    for estimator in (fn.MLPClassifier(), fn.TabularClassifier()):
        with pytest.raises(TypeError, match="no option 'eval_set'; .* Did you mean X_val=X_val, y_val=y_val"):
            estimator.fit(X, y, eval_set=(X, y))


def test_a_columns_name_as_targets():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": y, "b": X[:, 0]})
    with pytest.raises(TypeError, match="y must be the targets, got the text 'a': give X without this column, and y=X\\['a'\\]"):
        fn.TabularClassifier(preset="fast").fit(frame, "a")


def test_one_model_for_many_fits():
    with pytest.raises(TypeError, match="models must be a list, as in .*, got <Network"):
        fn.fit_many(network(), X, y)


def test_reading_that_is_no_function():
    with pytest.raises(TypeError, match="read must be a function of the batch's number, got 3"):
        fn.data.from_batches(3, 3)


def test_validation_data_given_to_an_estimator():
    with pytest.raises(TypeError, match="fit has no option 'validation_data'; .* Did you mean X_val=X_val, y_val=y_val"):
        fn.MLPClassifier().fit(X, y, validation_data=(X, y))


def test_parameters_that_there_are_not_to_set():
    with pytest.raises(ValueError, match="Invalid parameter 'epochs' for estimator.* Did you mean 'max_iter'"):
        fn.MLPClassifier().set_params(epochs=3)
    with pytest.raises(ValueError, match=r"Invalid parameter 'zebra' for estimator.*\]\.$"):
        fn.MLPClassifier().set_params(zebra=3)
    for estimator, word, meant in (
        (fn.TabularPreprocessor(), "max_onehot", "max_one_hot"),
        (fn.TabularRegressor(), "seed", "random_state"),
        (fn.ImageClassifier(), "epochs", "max_iter"),
    ):
        with pytest.raises(ValueError, match=f"Invalid parameter '{word}' for estimator.* Did you mean '{meant}'"):
            estimator.set_params(**{word: 3})
    assert fn.MLPClassifier().set_params(max_iter=3).max_iter == 3


NETWORK_MISTAKES = {
    "lr": ({"lr": 0.1}, TypeError, "Network.fit has no option 'lr'; it has X, y, loss, .* Did you mean 'learning_rate'"),
    "X_val": ({"X_val": X}, TypeError, r"Did you mean validation_data=\(X_val, y_val\)"),
    "sample_weight_val": ({"sample_weight_val": y}, TypeError, r"validation_data=\(X_val, y_val, sample_weight_val\)"),
    "alpha": ({"alpha": 0.1}, TypeError, "Did you mean l2=alpha / batch_size"),
    "solver": ({"solver": "sgd"}, TypeError, "Did you mean 'optimizer'"),
    "shuffle": ({"shuffle": False}, TypeError, 'Did you mean sampling="shuffle" or "sequential"'),
    "early_stopping": ({"early_stopping": True}, TypeError, r"Did you mean callbacks=\[fastnet.EarlyStopping\(\)\]"),
    "misspelt": ({"batchsize": 8}, TypeError, "Did you mean 'batch_size'"),
    "of the constructor": ({"dtype": "float64"}, TypeError, r"Did you mean Network\(dtype=...\)"),
    "unlike any": ({"zebra": 8}, TypeError, "n_threads, resume_from.$"),
    "twice": ({"epochs": 2, "max_iter": 3}, TypeError, "epochs was given twice, as epochs and max_iter"),
    "twice by other names": ({"max_iter": 3, "epochs": 2}, TypeError, "epochs was given twice, as max_iter and epochs"),
    "loss of elsewhere": ({"loss": "categorical_crossentropy"}, ValueError, "Did you mean 'cross_entropy'"),
    "optimiser in capitals": ({"optimizer": "Adam"}, ValueError, "Did you mean 'adam'"),
    "a class": ({"callbacks": [fn.EarlyStopping]}, TypeError, r"give EarlyStopping\(...\), with parentheses"),
    "one callback": ({"callbacks": fn.EarlyStopping()}, TypeError, r"got EarlyStopping alone: give callbacks=\[...\]"),
    "a share of rows": ({"validation_data": 0.2}, ValueError, r"\(X, y, sample_weight\), got 0.2. .* train_test_split"),
    "validation_split": ({"validation_split": 0.2}, TypeError, r"Did you mean validation_data=\(X_val, y_val\)"),
    "metrics": ({"metrics": ["accuracy"]}, TypeError, r"score\(X, y\) gives the accuracy, or R\^2 of values.$"),
    "class_weight": ({"class_weight": "balanced"}, TypeError, "Give sample_weight, which .*compute_sample_weight makes.$"),
    "a decay that is no number": ({"weight_decay": "a"}, TypeError, "weight_decay must be a number, got 'a' of type str"),
    "factors that are no dict": ({"learning_rate_factors": 0.1}, TypeError, r"_factors must be a dict, as in \{'b': 0.1\}"),
    "class numbers as values": ({"loss": "squared_error"}, ValueError, "Class numbers need the loss 'cross_entropy' and"),
}


@pytest.mark.parametrize("mistake", NETWORK_MISTAKES)
def test_networks(mistake):
    options, error, message = NETWORK_MISTAKES[mistake]
    with pytest.raises(error, match=message):
        network().fit(X, y, **options)


def test_options_under_the_estimators_names():
    fits = [{"learning_rate": 0.1, "epochs": 3}, {"learning_rate_init": 0.1, "max_iter": 3, "verbose": False}]
    (first, expected), (second, history) = [((net := network()), net.fit(X, y, random_state=0, **options)) for options in fits]
    assert history.loss == expected.loss and len(history) == 3
    np.testing.assert_array_equal(second.params, first.params)


def test_verbose_shows_the_progress_bar(capsys):
    network().fit(X, y, epochs=2, verbose=True)
    assert "training" in capsys.readouterr().err


@pytest.mark.parametrize(
    "word, meant", [("seed", "'random_state'"), ("n_features", "'n_inputs'"), ("epochs", r"fit\(epochs=...\)")]
)
def test_constructors_of_networks(word, meant):
    with pytest.raises(TypeError, match=f"Network has no option '{word}'; it has layers, n_inputs.* Did you mean {meant}"):
        fn.Network([fn.Dense(3)], 3, **{word: 1})


@pytest.mark.parametrize(
    "name, meant",
    [
        ("rellu", "relu"),
        ("none", "identity"),
        ("ReLU", "relu"),
        ("swish", "silu"),
        ("linear", "identity"),
        ("Leaky-ReLU", "leaky_relu"),
    ],
)
def test_activations(name, meant):
    with pytest.raises(ValueError, match=f"Unknown activation '{name}'; known are: elu, .* Did you mean '{meant}'"):
        fn.Dense(3, name)


def test_names_unlike_any_get_no_suggestion():
    with pytest.raises(ValueError, match="tanh.$"):
        fn.Dense(3, "zebra")


def test_text():
    with pytest.raises(TypeError, match="X must hold real numbers.*OneHotEncoder"):
        network().fit(TEXT.reshape(-1, 1).repeat(3, 1), y)
    with pytest.raises(TypeError, match="y must hold real numbers.*np.unique.*MLPClassifier"):
        network().fit(X, TEXT)
    with pytest.raises(ValueError, match="could not convert string to float.*OneHotEncoder"):
        fn.MLPClassifier().fit(TEXT.reshape(-1, 1), y)
    for text in (TEXT, TEXT.astype(object)):
        with pytest.raises(ValueError, match="could not convert string to float.*only classifiers take text as y"):
            fn.MLPRegressor().fit(X, text)


@pytest.mark.parametrize("values, kind", [(None, "NoneType"), ({"a": [1.0]}, "dict"), ((row for row in X), "generator")])
def test_what_is_no_array_is_named(values, kind):
    with pytest.raises(TypeError, match=f"X must hold .*; give an array or a list, not a {kind}; .* fastnet.data.from_batches"):
        network().predict(values)
    with pytest.raises(TypeError, match="y must hold .*; give an array or a list, not a dict"):
        network().fit(X, {"a": y})


def test_text_as_sample_weight():
    with pytest.raises(TypeError, match="sample_weight must hold real numbers, got dtype <U8; .*compute_sample_weight"):
        network().fit(X, y, sample_weight="balanced")


def test_numbers_as_text_are_targets_of_regressors():
    values, text = (fn.MLPRegressor(max_iter=1, random_state=0) for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(values.fit(X, y).coefs_[0], text.fit(X, y.astype(str)).coefs_[0])


def test_values_as_classes():
    with pytest.raises(ValueError, match="Unknown label type: continuous. Maybe you are trying to fit a classifier"):
        fn.MLPClassifier().fit(X, X[:, 0])
    with pytest.raises(ValueError, match="got values from 0 to 2. For more than two classes, end the network with 'softmax'"):
        fn.Network([fn.Dense(1, "sigmoid")], 3).fit(X, y)


def test_classes_as_one_hot_vectors():
    classifier = fn.MLPClassifier(max_iter=1, n_iter_no_change=np.inf, tol=0)
    with pytest.warns(UserWarning, match=r"exactly one label in each of its 60 rows.* Pass y.argmax\(axis=1\)"):
        classifier.fit(X, np.eye(3)[y])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(X, np.vstack([np.eye(3)[y[:-1]], [1, 1, 0]]))


@pytest.mark.parametrize("layer", [fn.LayerNorm, fn.PReLU, lambda n: fn.BatchNorm(epsilon=n)], ids=["norm", "prelu", "batch"])
def test_a_number_of_inputs_is_no_option(layer):
    with pytest.raises(ValueError, match="(epsilon|slope) must be below 1, got 64. Leave it out: a layer takes"):
        layer(64)


def test_negative_targets_of_a_relu_that_was_not_asked_for():
    layers, t = [fn.Dense(5), fn.Dense(1)], X @ [1, 2, 3]
    net = fn.Network(layers, 3, random_state=0)
    for optimizer in ("adam", "lbfgs"):
        with pytest.warns(
            UserWarning, match=r"'relu' gives no negative numbers, .* end the network with Dense\(1, 'identity'\)"
        ) as caught:
            net.fit(X, t, optimizer=optimizer, epochs=1)
        assert caught[0].filename == __file__
    with pytest.raises(ValueError, match=r"layers end with Dense\(1, 'relu'\), but y asks for Dense\(1, 'identity'\)"):
        fn.NetworkRegressor(layers).fit(X, t)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.fit(X, np.abs(t), epochs=1)
        fn.Network([fn.Dense(5), fn.Dense(1, "identity")], 3, random_state=0).fit(X, t, epochs=1)


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("compile", "Leave it out: fit takes the loss and the optimizer"),
        ("evaluate", r"It has loss\(X, y\) and score\(X, y\)"),
        ("eval", "Leave it out: dropout acts in fit alone"),
        ("state_dict", "Its parameters by name are in `parameters`; fastnet.torch.to_torch_state_dict makes PyTorch's"),
        ("coefs_", "They are in `weights` and `biases`"),
    ],
)
def test_attributes_of_networks_from_elsewhere(word, advice):
    with pytest.raises(AttributeError, match=f"'Network' object has no attribute '{word}'. {advice}$"):
        getattr(network(), word)
    assert not hasattr(network(), "zebra")
    assert pickle.loads(pickle.dumps(network())).n_params == network().n_params


@pytest.mark.parametrize(
    ("word", "here"),
    [
        ("Sequential", "Network"),
        ("Linear", "Dense"),
        ("Momentum", "SGD"),
        ("CrossEntropyLoss", "CrossEntropy"),
        ("ModelCheckpoint", "Checkpoint"),
        ("CosineDecay", "Cosine"),
    ],
)
def test_names_from_elsewhere_in_the_module(word, here):
    with pytest.raises(AttributeError, match=f"no attribute '{word}'. It is called '{here}' here$"):
        getattr(fn, word)
    with pytest.raises(AttributeError, match=r"no attribute 'Input'. Network\(layers, n_inputs=...\) takes its place"):
        fn.Input  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'zebra'$"):
        fn.zebra  # noqa: B018


def test_a_class_of_one_row_that_should_be_split_off():
    classes = np.zeros(60, int)
    classes[0] = 1
    with pytest.raises(ValueError, match="least populated class.*stratify=False"):
        fn.MLPClassifier(early_stopping=True).fit(X, classes)


def test_a_pickle_is_no_model_file(tmp_path):
    path = tmp_path / "model.joblib"
    path.write_bytes(pickle.dumps(X))
    with pytest.raises(ValueError, match="not a safetensors file: a pickle or an archive, as joblib"):
        fn.load(path)


def test_a_file_that_is_cut_off(tmp_path):
    path = tmp_path / "model.safetensors"
    network().save(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"truncated file: tensor '\w+' has data_offsets .* within the 44 bytes of data"):
        fn.load(path)


ARGUMENT_MISTAKES = {
    "lr": (fn.Adam, {"lr": 0.1}, "Adam has no option 'lr'; it has learning_rate, .* Did you mean 'learning_rate'"),
    "rate of a schedule": (fn.Cosine, {"learning_rate": 0.1}, "Did you mean 'initial'"),
    "peak of a schedule": (fn.OneCycle, {"max_lr": 0.1}, "Did you mean 'peak'"),
    "alpha of an activation": (fn.LeakyReLU, {"negative_slope": 0.1}, "Did you mean 'alpha'"),
    "parameter of a loss": (fn.Quantile, {"quantle": 0.1}, "Did you mean 'quantiles'"),
    "nothing to give": (fn.SquaredError, {"reduction": "sum"}, "SquaredError has no option 'reduction'; it has none.$"),
    "initialiser": (fn.HeNormal, {"gain": 2}, "HeNormal has no option 'gain'; it has none.$"),
    "units": (fn.Dense, {"units": 3}, "Did you mean 'n_units'"),
    "features": (fn.Network, {"layers": [fn.Dense(1)], "n_features": 3}, "Did you mean 'n_inputs'"),
    "lr of an estimator": (fn.MLPClassifier, {"lr": 0.1}, "Did you mean 'learning_rate_init'"),
    "epochs of an estimator": (fn.MLPRegressor, {"epochs": 3}, "Did you mean 'max_iter'"),
    "callback": (fn.EarlyStopping, {"n_iter_no_change": 3}, "Did you mean 'patience'"),
    "checkpoint": (fn.Checkpoint, {"folder": "x", "every_epoch": 3}, "Did you mean 'every_epochs'"),
    "betas": (fn.Adam, {"betas": (0.9, 0.99)}, "Did you mean beta1=..., beta2=...?"),
    "decay of Adam": (fn.Adam, {"weight_decay": 0.1}, "fastnet.AdamW has it, and Network.fit for all optimisers.$"),
    "inputs of a layer": (fn.LSTM, {"input_size": 3, "n_units": 4}, "Leave it out: a layer takes its number of inputs from what"),
    "both directions": (fn.GRU, {"n_units": 3, "bidirectional": True}, r"Write fastnet.Bidirectional\(layer\).$"),
    "sizes of a pool": (fn.MaxPool, {"pool_size": 2}, "Did you mean 'size'"),
    "no activation": (fn.Dense, {"n_units": 3, "activation": None}, "got None; known names are: .* Did you mean 'identity'"),
    "two sizes of a layer": (fn.Dense, {"n_units": 3, "activation": 4}, "got 4; known names are: .* Leave it out: a layer"),
    "layers that are none": (fn.Network, {"layers": None, "n_inputs": 3}, r"layers must be a list, as in \[.*\], got None"),
    "one number as a shape": (fn.Network, {"layers": [fn.Dense(1)], "input_shape": 3}, r"must be a list, as in \(100, 3\)"),
    "a shape of one number": (fn.Reshape, {"shape": 4}, r"shape must be a list, as in \(8, 8, 1\), got 4"),
    "preset of a table": (fn.TabularClassifier, {"presets": "best"}, "has no option 'presets'; it has .* Did you mean 'preset'"),
    "metric of a table": (fn.TabularRegressor, {"eval_metric": "mae"}, "Did you mean 'metric'"),
    "steps of a forecast": (fn.Forecaster, {"steps": 3}, "Did you mean 'horizon'"),
    "shape of images": (fn.ImageClassifier, {"input_shape": (8, 8)}, "Did you mean 'image_shape'"),
    "table's categories": (fn.TabularPreprocessor, {"categorical": None}, "TabularPreprocessor has no option 'categorical'"),
}


@pytest.mark.parametrize("mistake", ARGUMENT_MISTAKES)
def test_arguments(mistake):
    cls, arguments, message = ARGUMENT_MISTAKES[mistake]
    with pytest.raises(TypeError, match=message):
        cls(**arguments)


def test_other_mistakes_in_calls_are_pythons():
    with pytest.raises(TypeError, match="from 1 to 6 positional arguments but 7 were given"):
        fn.Adam(0.1, 0.9, 0.9, 1e-8, True, 1)
    with pytest.raises(TypeError, match="Give either n_inputs or input_shape"):
        fn.Network([fn.Dense(1)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fn.LSTM(3, 4),
            r"LSTM.__init__\(\) takes 2 positional arguments but 3 were given; it has n_units, return_sequences.$",
        ),
        (
            lambda: fn.Conv2d(3),
            r"Conv2d.__init__\(\) missing 1 required positional argument: 'kernel_size'; it has filters, kernel",
        ),
        (
            lambda: network().fit(X, y, "adam"),
            r"Network.fit\(\) takes from 2 to 3 positional arguments but 4 were given; it has X, y",
        ),
        (lambda: fn.Network([fn.Dense(3)], 3, dtype="int"), "^dtype must be"),
    ],
)
def test_pythons_messages_name_the_class_that_was_called(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_signatures_are_those_of_the_arguments():
    assert list(inspect.signature(fn.Adam).parameters) == ["learning_rate", "beta1", "beta2", "epsilon", "epsilon_hat"]
    assert list(inspect.signature(fn.Dense).parameters) == ["n_units", "activation", "initializer", "dropout", "scale"]


def test_derived_classes_have_arguments_of_their_own():
    class Named(fn.Network):
        def __init__(self, *args, label, **options):
            super().__init__(*args, **options)
            self.label = label

    assert Named([fn.Dense(1)], 2, label="a", dtype="float64").dtype == np.float64
    with pytest.raises(TypeError, match="Named has no option 'seed'; it has layers.* Did you mean 'random_state'"):
        Named([fn.Dense(1)], 2, label="a", seed=0)


IN_CORE_FORM = X.astype(np.float32), y.astype(np.int32)
OF_SESSION = {"loss": None, "optimizer": "adam", "batch_size": 9}


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("nesterov", lambda value: fn.SGD(momentum=0.9, nesterov=value)),
        ("epsilon_hat", lambda value: fn.Adam(epsilon_hat=value)),
        ("epsilon_hat", lambda value: fn.AdamW(epsilon_hat=value)),
        ("restore_best", lambda value: fn.EarlyStopping(restore_best=value)),
        ("each_member", lambda value: fn.EarlyStopping(each_member=value)),
        ("cross", lambda value: fn.TransformerBlock(2, cross=value)),
        ("ragged", lambda value: fn.Network([fn.GRU(3), fn.Dense(1)], input_shape=(5, 2), ragged=value)),
        ("track_grad_norm", lambda value: network().fit(X, y, epochs=1, track_grad_norm=value)),
        ("l2_per_batch", lambda value: Session(network(), *IN_CORE_FORM, l2_per_batch=value, **OF_SESSION)),
    ],
)
def test_options_that_are_true_or_false(name, make):
    make(np.bool_(True))
    with pytest.raises(TypeError, match=f"^{name} must be True or False, got 'no'"):
        make("no")
