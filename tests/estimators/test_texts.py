"""TextClassifier: what it learns of characters and words, the forms of texts it takes, and those it refuses."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastnet as fn
from fastnet import TextClassifier
from fastnet.estimators._text import END, UNKNOWN
from fastnet.ragged import core_rows


@pytest.fixture(scope="module")
def names():
    """Words of random syllables; the last syllable says which language they are of."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 240)
    syllables = np.array(["ka", "lo", "mi", "tu", "sen", "dar"])
    stems = ["".join(rng.choice(syllables, n)) for n in rng.integers(1, 4, 240)]
    return [stem + ("ino", "oni")[label] for stem, label in zip(stems, y, strict=True)], np.array(["A", "B"])[y]


@pytest.fixture(scope="module")
def notes():
    """Sentences of many words of which one says whether they praise, unless the word before it is "not"."""
    rng = np.random.default_rng(0)
    fill = np.array(["the", "meal", "was", "and", "we", "found", "it", "here", "again", "today"])
    X, y = [], []
    for _ in range(400):
        good, negated = rng.random(2) < 0.5
        words = list(rng.choice(fill, rng.integers(3, 9)))
        words.insert(rng.integers(len(words) + 1), ("not " if negated else "") + ("good" if good else "bad"))
        X.append(" ".join(words))
        y.append(int(good != negated))
    return X, y


@pytest.fixture(scope="module")
def fitted(names):
    return TextClassifier(max_iter=3, random_state=0).fit(*names)


def test_characters_whose_order_counts(names):
    X, y = names
    clf = TextClassifier(max_iter=20, random_state=0).fit(X[:160], y[:160])
    assert clf.score(X[160:], y[160:]) > 0.97
    assert clf.classes_.tolist() == ["A", "B"]


def test_words_whose_order_counts(notes):
    X, y = notes
    clf = TextClassifier("cnn", analyzer="word", max_iter=30, random_state=0).fit(X[:300], y[:300])
    assert clf.score(X[300:], y[300:]) > 0.97
    assert {"not", "good", "bad"} <= clf.vocabulary_.keys()


def test_words_in_whatever_order(notes):
    X, _ = notes
    y = ["good" in text for text in X]
    clf = TextClassifier(analyzer="word", max_iter=20, random_state=0).fit(X[:300], y[:300])
    assert clf.score(X[300:], y[300:]) > 0.97
    turned = [" ".join(reversed(text.split())) for text in X]
    np.testing.assert_allclose(clf.predict_proba(turned), clf.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer"])
def test_kinds_of_networks(kind, names):
    X, y = names
    clf = TextClassifier(kind, max_iter=25, random_state=0).fit(X[:160], y[:160])
    assert clf.score(X[160:], y[160:]) > 0.9
    assert clf.predict_proba([X[0] * 20]).shape == (1, 2)


def test_texts_are_ids_of_what_is_known():
    X = ["Tee, tee", "Tea tea", "", "zz"] * 2
    clf = TextClassifier(analyzer="word", max_length=3, max_iter=1).fit(X, [0, 1] * 4)
    assert clf.vocabulary_ == {"tea": 2, "tee": 3, "zz": 4}
    assert [row.tolist() for row in clf._known_rows(["tee new TEA tea tea", "", "Zz"])] == [[3, UNKNOWN, 2, END], [END], [4, END]]
    rare = clone(clf).set_params(min_df=3).fit([*X, "tea"], [0, 1] * 4 + [0])
    assert rare.vocabulary_ == {"tea": 2}
    signs = TextClassifier(lowercase=False, strip_accents="unicode", max_features=2, max_iter=1)
    signs.fit(["ÉÉaE", "Eab"] * 2, [0, 1] * 2)
    assert signs.vocabulary_ == {"E": 2, "a": 3}


def test_a_text_is_judged_alone(fitted, names):
    X, _ = names
    together = fitted.predict_proba([*X[:5], "a much longer text than any in training, " * 3, ""])
    alone = np.vstack([fitted.predict_proba([text]) for text in X[:5]])
    np.testing.assert_allclose(together[:5], alone, atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)


def test_sequences_of_texts(fitted, names):
    X, _ = names
    expected = fitted.predict_proba(X)
    for form in (tuple(X), np.array(X), np.array(X, object), pd.Series(X), pd.Series(X, dtype="string")):
        np.testing.assert_array_equal(fitted.predict_proba(form), expected)
    np.testing.assert_array_equal(clone(fitted).fit(pd.Series(X), names[1]).predict_proba(X), expected)


def test_longer_texts_need_one_further_network(fitted, names):
    X, y = names
    clf = clone(fitted).set_params(max_iter=1).fit(X, y)
    ordinary = clf._network_for(clf._known_rows(X[:2]))
    longer = [clf._network_for(clf._known_rows(["ka" * n])) for n in (50, 40, 50)]
    assert ordinary is clf.network_
    assert longer[0] is longer[1] is longer[2] is not clf.network_
    before = clf.predict_proba(["ka" * 50])
    clf.network_.params[:] *= 2
    assert not np.allclose(clf.predict_proba(["ka" * 50]), before)
    assert len(pickle.dumps(clf)) < 2 * clf.network_.params.nbytes
    clf.fit(X, y)
    assert clf._network_for(clf._known_rows(["ka" * 50])) is not longer[0]
    np.testing.assert_array_equal(clf.predict_proba(["ka" * 50]), before)


def test_copies_and_threads(fitted, names):
    X, y = names
    again = clone(fitted).set_params(n_threads=2).fit(X, y)
    np.testing.assert_array_equal(again.network_.params, fitted.network_.params)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), fitted.predict_proba(X))
    assert clone(fitted).get_params() == fitted.get_params()
    assert repr(clone(fitted)) == "TextClassifier(max_iter=3, random_state=0)"


@pytest.mark.parametrize(
    "change",
    [{"analyzer": "word"}, {"lowercase": False}, {"strip_accents": "unicode"}, {"max_length": 2}, {"kind": "gru"}],
    ids=str,
)
def test_texts_are_read_as_in_fit_until_the_next(names, change, tmp_path):
    X = [*names[0][:20], "KALOINO", "k\u00e4loni"]
    clf = TextClassifier(max_iter=1, random_state=0).fit(*names)
    expected = clf.predict_proba(X)
    clf.set_params(**change).save(tmp_path / "model")
    for model in (clf, pickle.loads(pickle.dumps(clf)), fn.load(tmp_path / "model")):
        np.testing.assert_array_equal(model.predict_proba(X), expected)
        assert model.get_params() == clf.get_params()
    assert not np.array_equal(clf.fit(*names).predict_proba(X), expected)


@pytest.mark.parametrize("kind", ["cnn", "gru"])
def test_the_network_in_onnx(kind, names):
    onnx, runtime = pytest.importorskip("fastnet.onnx"), pytest.importorskip("onnxruntime")
    X, y = names
    clf = TextClassifier(kind, max_iter=1, random_state=0).fit(X, y)
    with pytest.raises(TypeError, match="Got a TextClassifier.*model.network_"):
        onnx.to_onnx(clf)
    session = runtime.InferenceSession(onnx.to_onnx(clf.network_).SerializeToString())
    rows = core_rows(clf._known_rows(X), clf.input_shape_, 1, np.float32)
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: rows})[0], clf.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("one text", ValueError, r"got one str: give \[text\]"),
        ([], ValueError, "at least one text"),
        (["a", None], TypeError, "entry 1 is None, of type NoneType. Put '' for a missing text"),
        (["a", float("nan")], TypeError, "entry 1 is nan, of type float"),
        (pd.Series(["a", None], dtype="string"), TypeError, "entry 1 is <NA>"),
        ([1, 2], TypeError, "entry 0 is 1, of type int"),
        (np.zeros((2, 3)), ValueError, r"one-dimensional array or Series of texts, got shape \(2, 3\)"),
        (pd.DataFrame({"text": ["a", "b"]}), ValueError, r"got shape \(2, 1\)"),
        ([b"a", b"b"], TypeError, "entry 0 is b'a', of type bytes.*decode bytes"),
        (7, ValueError, "got int"),
    ],
)
def test_what_are_no_texts(X, error, message, fitted):
    with pytest.raises(error, match=message):
        fitted.predict(X)
    with pytest.raises(error, match=message):
        TextClassifier().fit(X, [0, 1])


def test_wrong_options_and_targets(names):
    X, y = names
    with pytest.raises(NotFittedError):
        TextClassifier().predict(X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TextClassifier().fit(X, y[:-1])
    with pytest.raises(ValueError, match="at least 2 classes, got 1 class"):
        TextClassifier().fit(X, ["A"] * len(X))
    with pytest.raises(ValueError, match="'analyzer' parameter of TextClassifier"):
        TextClassifier(analyzer="bytes").fit(X, y)
    with pytest.raises(ValueError, match="no words or characters that min_df=2 keeps: After pruning"):
        TextClassifier(analyzer="word").fit(["one", "two"], [0, 1])
    for pattern, reason in (("(a)(b)", "More than 1 capturing group"), ("[a", "unterminated character set")):
        with pytest.raises(ValueError, match=rf"with one group at most, got '{re.escape(pattern)}': {reason}"):
            TextClassifier(analyzer="word", token_pattern=pattern).fit(X, y)
    TextClassifier(token_pattern="[a", max_iter=1).fit(X, y)
    TextClassifier(analyzer="word", token_pattern="(.).*", max_iter=1).fit(X, y)
    with pytest.raises(TypeError, match="has no option 'ngram_range'"):
        TextClassifier(ngram_range=(1, 2))
