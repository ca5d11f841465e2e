import numpy as np
import pytest

from trace_retriever.traces.lexical import Corpus, features
from trace_retriever.traces.words import salient, token_count, without_label

TEXTS = ("crab left , dog top", "crab top , dog left", "crab left", "melon right")


def test_phrases_do_not_cross_punctuation() -> None:
    assert features("crab left , dog top") == ["crab", "left", "crab left", "dog", "top", "dog top"]


def test_who_is_where_decides_and_the_order_of_the_parts_does_not() -> None:
    (scores,) = Corpus(TEXTS).scores(["target : dog top , crab left"])
    assert int(scores.argmax()) == 0
    assert scores[0] == pytest.approx(1.0)
    assert scores[0] > scores[1] > scores[3] == 0.0


def test_scores_are_cosines_of_an_independent_computation() -> None:
    corpus = Corpus(TEXTS)
    vocabulary = sorted({feature for text in TEXTS for feature in features(text)})
    counts = np.array([[feature in features(text) for feature in vocabulary] for text in TEXTS], float)
    weights = counts * (np.log((1 + len(TEXTS)) / (1 + counts.sum(0))) + 1)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    np.testing.assert_allclose(corpus.scores(TEXTS), weights @ weights.T, atol=1e-12)


def test_support_is_the_share_of_phrases_borne_out() -> None:
    corpus = Corpus(TEXTS)
    assert corpus.support("target : dog top , crab left", TEXTS[0]) == 1.0
    assert corpus.support("target : dog top , crab right", TEXTS[0]) == 0.5
    assert corpus.support("nothing known here", TEXTS[0]) == 1.0


def test_empty_texts_match_nothing() -> None:
    assert not Corpus(TEXTS).scores([""]).any()
    assert Corpus([""]).scores(["crab"]).shape == (1, 1)


def test_words() -> None:
    assert token_count("step : dog , top ;") == 6
    assert without_label("target : dog top") == "dog top"
    assert salient("Find the dogs in this picture of a glass") == {"dog", "glass"}
