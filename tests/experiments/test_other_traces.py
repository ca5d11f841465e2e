"""Counterfactual traces: each is what its name says, and nothing else changed."""

from trace_retriever.experiments.other_traces import KINDS, other_traces

OWN = [
    "step : friend crab lobster ; target : boss lobster dog",
    "step : boss dog melon ; target : friend melon crab",
    "step : friend dog crab ; target : guest crab melon",
]
TRUE = ["a", "b", "c"]


def test_every_kind_has_one_trace_a_query() -> None:
    found = other_traces(OWN, TRUE, seed=1)
    assert tuple(found) == KINDS
    assert all(len(texts) == len(OWN) for texts in found.values())
    assert found["own"] == OWN
    assert found["true"] == TRUE
    assert found["empty"] == ["", "", ""]


def test_another_trace_is_never_the_own_one() -> None:
    for seed in range(5):
        found = other_traces(OWN, TRUE, seed=seed)["other"]
        assert sorted(found) == sorted(OWN)
        assert all(one != own for one, own in zip(found, OWN, strict=True))


def test_shuffling_keeps_the_words() -> None:
    for shuffled, own in zip(other_traces(OWN, TRUE, seed=1)["shuffled"], OWN, strict=True):
        assert sorted(shuffled.split()) == sorted(own.split())
        assert shuffled != own


def test_a_flip_changes_one_word_of_the_answer_for_one_of_its_kind() -> None:
    for flipped, own in zip(other_traces(OWN, TRUE, seed=1)["flipped"], OWN, strict=True):
        pairs = list(zip(flipped.split(), own.split(), strict=True))
        changed = [(at, new) for at, (new, old) in enumerate(pairs) if new != old]
        [(place, new)] = changed
        assert place > own.split().index("target")
        assert new in {text.split()[place] for text in OWN}


def test_what_cannot_be_flipped_stays() -> None:
    assert other_traces(["red"], ["red"], seed=1)["flipped"] == ["red"]
