"""The made data set as a whole: layout, splits, vocabulary, seeds."""

import json
from collections import Counter
from pathlib import Path

import pytest
from tests.openmoji.readers import Benchmark, is_scene, read_places

from trace_retriever.config.prepare import OpenmojiSource
from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_tree
from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.pairs import SPLITS, TASK_MODALITIES, Pair, Split
from trace_retriever.mbeir.records import Candidate, Modality
from trace_retriever.model.tiny import UNKNOWN, word_tokenizer
from trace_retriever.openmoji.album import Album
from trace_retriever.openmoji.build import COMPLEX, SIMPLE, build, check_words, draft_split, make_world
from trace_retriever.openmoji.draft import Draft, Ids
from trace_retriever.openmoji.tasks.scenes import page
from trace_retriever.openmoji.world import World

SMALL = OpenmojiSource(
    pictures=16,
    train_simple=8,
    train_hops=8,
    train_relations=8,
    train_edits=8,
    val=4,
    test=8,
    picture_pixels=24,
)


def test_all_tasks_and_pairs_are_there(benchmark: Benchmark) -> None:
    for split in SPLITS:
        pairs = benchmark.layout.pairs(split)
        assert {pair.name for pair in pairs} == {*SIMPLE, *COMPLEX}
        assert {pair.task for pair in pairs} == set(TASK_MODALITIES)
        truths = benchmark.layout.truth(split)
        assert truths is not None
        assert {truth.pair for truth in truths.values() if truth.route == "complex"} == set(COMPLEX)
        assert {truth.pair for truth in truths.values() if truth.route == "simple"} == set(SIMPLE)
        assert all(bool(truth.text) == (truth.route == "complex") for truth in truths.values())


def test_within_a_modality_there_are_simple_and_complex_queries(benchmark: Benchmark) -> None:
    """Else the modality gives the route away. (A picture alone asks for nothing, so it is always simple.)"""
    routes: dict[Modality, set[str]] = {}
    truths = benchmark.layout.truth("test") or {}
    for pair in benchmark.layout.pairs("test"):
        found = {truths[query.qid].route for query in benchmark.layout.queries(pair, "test")}
        routes.setdefault(pair.query_modality, set()).update(found)
    assert routes[Modality.TEXT] == routes[Modality.BOTH] == {"simple", "complex"}


def test_every_positive_is_in_its_pool_and_every_picture_on_disk(benchmark: Benchmark) -> None:
    for split in SPLITS:
        for pair in benchmark.layout.pairs(split):
            pool, qrels = benchmark.pools[pair.name, split], benchmark.layout.qrels(pair, split)
            for query in benchmark.layout.queries(pair, split):
                assert set(query.pos_cand_list) == qrels.positives(query.qid) <= set(pool)
                assert set(query.neg_cand_list) <= set(pool) - set(query.pos_cand_list)
                item = query_item(benchmark.layout, query, pair)
                assert item.image is None or (isinstance(item.image, Path) and item.image.is_file())
            for candidate in pool.values():
                image = candidate_item(benchmark.layout, candidate).image
                assert image is None or (isinstance(image, Path) and image.is_file())


def test_a_query_never_shows_a_candidates_picture(benchmark: Benchmark) -> None:
    shown, found = set(), set()
    for split in SPLITS:
        for pair in benchmark.layout.pairs(split):
            shown |= {query.query_img_path for query in benchmark.layout.queries(pair, split)}
            found |= {candidate.img_path for candidate in benchmark.pools[pair.name, split].values()}
    assert shown & found == {None}


def test_every_word_is_in_the_vocabulary(benchmark: Benchmark) -> None:
    """As the model gets them: cleaned, with the instruction before them."""
    tokenizer = word_tokenizer(benchmark.world.vocabulary)
    texts = set()
    for split in SPLITS:
        for pair in benchmark.layout.pairs(split):
            for query in benchmark.layout.queries(pair, split):
                texts |= {query_item(benchmark.layout, query, pair, prompt).text or "" for prompt in range(4)}
            texts |= {
                candidate_item(benchmark.layout, one).text or ""
                for one in benchmark.pools[pair.name, split].values()
            }
        texts |= {truth.text for truth in (benchmark.layout.truth(split) or {}).values()}
    assert len(texts) > 1000
    words = {word for text in texts for word in tokenizer.tokenize(text)}
    assert UNKNOWN not in words
    assert len(words) > len(benchmark.world.names)


def test_words_outside_the_vocabulary_are_refused(world: World, tmp_path: Path) -> None:
    draft = Draft(Pair("mojifact", 1), "train", Album(world, tmp_path), Ids())
    draft.ask("friend of nobody", None, draft.candidate(text=world.fact(world.names[0], "friend")))
    with pytest.raises(DataError, match="nobody"):
        check_words(world, draft)


def captions(benchmark: Benchmark, split: Split) -> set[str]:
    """The scenes that a split's candidates show or say, by the maker's record of them."""
    pools = (pool for (_, part), pool in benchmark.pools.items() if part == split)
    parts = (part for pool in pools for did in pool for part in benchmark.descriptions[did].split(" ; "))
    return {part for part in parts if is_scene(part)}


def pages(world: World) -> set[str]:
    """The pictures of the knowledge base, which is shared by the splits."""
    return {page(world, name).caption for name in world.names}


def test_no_candidate_scene_is_in_two_splits(benchmark: Benchmark) -> None:
    shown = {split: captions(benchmark, split) - pages(benchmark.world) for split in SPLITS}
    assert all(len(found) > 50 for found in shown.values())
    assert sum(map(len, shown.values())) == len(set.union(*shown.values()))
    for split, found in shown.items():
        for caption in found:
            assert benchmark.world.rule.split(benchmark.scene(read_places(caption))) == split


def test_each_query_shows_a_scene_of_its_split(benchmark: Benchmark) -> None:
    count = 0
    for split in SPLITS:
        for pair in benchmark.layout.pairs(split):
            for query in benchmark.layout.queries(pair, split):
                assert (query.query_src_content is None) == (query.query_img_path is None)
                if query.query_src_content:
                    caption = json.loads(query.query_src_content)["scene"]
                    assert benchmark.world.rule.split(benchmark.scene(read_places(caption))) == split
                    count += 1
    assert count > 300


def test_no_scene_is_painted_for_two_splits(tmp_path: Path) -> None:
    """Queries and candidates; the album knows all that was painted."""
    world = make_world(SMALL)
    album, ids = Album(world, tmp_path), Ids()
    for split in SPLITS:
        draft_split(world, album, ids, split, SMALL)
    shown = Counter(caption for split in SPLITS for caption in album.scenes(split) - pages(world))
    assert len(shown) > 100
    assert set(shown.values()) == {1}
    assert len(list(tmp_path.rglob("*.jpg"))) == len(album)


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    digests = []
    for number, seed in enumerate((1, 1, 2)):
        out = tmp_path / str(number)
        out.mkdir()
        figures = build(SMALL.model_copy(update={"seed": seed}), out)
        assert figures["pictures"] == len(list(out.rglob("*.jpg")))
        assert 0 < figures["test_held_out"] < 1
        digests.append(digest_tree(out))
    assert digests[0] == digests[1] != digests[2]
    assert "CC BY-SA 4.0" in (tmp_path / "0/ATTRIBUTION.md").read_text()
    assert World.load(tmp_path / "0") == make_world(SMALL)


def test_pools_have_hard_distractors(benchmark: Benchmark) -> None:
    """Candidates that differ from the positive in one name or one place, and the reference itself."""
    for asked in benchmark.asked("mojicap", "mojiscene", "mojiplain"):
        if asked.split == "test" and asked.pair.candidate_modality is Modality.IMAGE:
            target = set(benchmark.scene_of(asked.positive).items())
            near = [
                set(benchmark.scene_of(one).items()) for one in asked.pool.values() if one != asked.positive
            ]
            assert any(len(target) == len(other) == len(target & other) + 1 for other in near)
    for asked in benchmark.asked("mojiedit"):
        reference = read_places(asked.truth.reasoning.removeprefix("reference : ").split(" ; ")[0])
        shown = [benchmark.scene_of(one) for one in asked.pool.values()]
        assert reference in shown


def test_texts_and_scenes_of_a_pool_are_there_once(benchmark: Benchmark) -> None:
    def content(candidate: Candidate) -> tuple[str, str | None]:
        return benchmark.descriptions[candidate.did], candidate.txt

    for pool in benchmark.pools.values():
        assert len({content(candidate) for candidate in pool.values()}) == len(pool)
