"""Making the OpenMoji benchmark: thirteen pairs over all eight M-BEIR tasks, from a seed."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from trace_retriever.config.prepare import OpenmojiSource
from trace_retriever.errors import DataError
from trace_retriever.io.files import write_atomic
from trace_retriever.io.jsonl import write_jsonl
from trace_retriever.io.progress import progress
from trace_retriever.mbeir.pairs import SPLITS, Pair, Split
from trace_retriever.mbeir.records import Candidate, Query
from trace_retriever.mbeir.writer import Prompts, write_dataset
from trace_retriever.openmoji.album import Album
from trace_retriever.openmoji.draft import Draft, Ids
from trace_retriever.openmoji.pictures import choose_glyphs
from trace_retriever.openmoji.sampling import Sampler
from trace_retriever.openmoji.scenes import CELLS, DIRECTIONS
from trace_retriever.openmoji.source import ATTRIBUTION
from trace_retriever.openmoji.tasks import changes, questions, scenes
from trace_retriever.openmoji.world import RELATIONS, REQUEST_WORDS, TRACE_WORDS, World, build_world

# One set of instructions for each pair of modalities: they must not show what is simple and what is complex.
PROMPTS: dict[int, Prompts] = {
    0: ("find the picture", "get a matching picture", "show the scene", "picture of this"),
    1: ("find the fact", "get the right fact", "which fact answers this", "answer"),
    2: ("find picture and note", "get the noted picture", "show the matching page", "page for this"),
    3: ("describe the picture", "find the right words", "words for this scene", "what does it show"),
    4: ("find a matching picture", "get another picture", "show the like of this", "one more like this"),
    6: ("find the fact", "get the right fact", "which fact answers this", "answer"),
    7: ("find the picture", "get the picture meant", "show the right scene", "which picture is it"),
    8: ("find picture and note", "get the page meant", "show the right page", "which page is it"),
}
SIMPLE = (
    "mojicap_task0",
    "mojicap_task3",
    "mojicap_task2",
    "mojiscene_task4",
    "mojiconcept_task4",
    "mojifact_task1",
    "mojiobject_task6",
    "mojiobject_task8",
    "mojiplain_task7",
)
COMPLEX = ("mojihop_task1", "mojirelation_task6", "mojiedit_task7", "mojiedit_task8")
KNOWLEDGE = ("mojifact_task1", "mojihop_task1", "mojiobject_task6", "mojirelation_task6")


def build(config: OpenmojiSource, out: Path) -> dict[str, Any]:
    """Make the benchmark below `out`.

    Args:
        config: sizes and seed; the same give the same bytes.
        out: an empty directory.

    Returns:
        Number of pictures painted, vocabulary size, and the share of test queries that show what training
        never does.

    Raises:
        DataError: the pictures or the splits do not allow so many queries.
    """
    world = make_world(config)
    album, ids = Album(world, out), Ids()
    drafts = {
        split: draft_split(world, album, ids, split, config)
        for split in progress(SPLITS, "scenes", unit="split")
    }
    _share_knowledge(drafts, world)
    _write(out, world, drafts)
    test = [truth for draft in drafts["test"].values() for truth in draft.truths]
    return {
        "pictures": len(album),
        "vocabulary": len(world.vocabulary),
        "test_held_out": round(sum(bool(truth.held_out) for truth in test) / len(test), 4),
    }


def make_world(config: OpenmojiSource) -> World:
    """The benchmark's pictures, facts and held-out combinations."""
    words = tuple(
        sorted({word for prompts in PROMPTS.values() for prompt in prompts for word in prompt.split()})
    )
    reserved = {*RELATIONS, *CELLS, *DIRECTIONS, *TRACE_WORDS, *REQUEST_WORDS, *words}
    glyphs = choose_glyphs(config.pictures, config.seed, reserved)
    return build_world(config.seed, glyphs, words, config.picture_pixels, config.held_out)


def draft_split(
    world: World, album: Album, ids: Ids, split: Split, config: OpenmojiSource
) -> dict[str, Draft]:
    """All pairs of one split; each family draws from its own seed, so that no count changes another's."""
    drafts = {name: Draft(Pair.parse(name), split, album, ids) for name in (*SIMPLE, *COMPLEX)}
    simple, hops, relations, edits = {
        "train": (config.train_simple, config.train_hops, config.train_relations, config.train_edits),
        "val": (config.val,) * 4,
        "test": (config.test,) * 4,
    }[split]
    families: tuple[tuple[Callable[..., None], tuple[str, ...], int], ...] = (
        (scenes.fill_scenes, (*SIMPLE[:4], "mojiplain_task7"), simple),
        (scenes.fill_same_things, ("mojiconcept_task4",), simple),
        (questions.fill_facts, ("mojifact_task1",), simple),
        (questions.fill_objects, ("mojiobject_task6", "mojiobject_task8"), simple),
        (questions.fill_hops, ("mojihop_task1",), hops),
        (questions.fill_relations, ("mojirelation_task6",), relations),
        (changes.fill_edits, ("mojiedit_task7", "mojiedit_task8"), edits),
    )
    for number, (fill, names, count) in enumerate(families):
        rng = np.random.default_rng([world.seed, 2, SPLITS.index(split), number])
        fill(*(drafts[name] for name in names), Sampler(world, split, rng), count)
    return drafts


def _share_knowledge(drafts: dict[Split, dict[str, Draft]], world: World) -> None:
    """Give the text pools every fact, in each split under the same did."""
    for name in KNOWLEDGE:
        ids: dict[str, Candidate] = {}
        for split in SPLITS:
            draft = drafts[split][name]
            for fact in questions.passages(world):
                draft.candidate(text=fact)
            ids |= {
                key[0] or "": candidate for key, candidate in draft.candidates.items() if key[0] not in ids
            }
        for split in SPLITS:
            _rename(drafts[split][name], ids)


def _rename(draft: Draft, shared: dict[str, Candidate]) -> None:
    new = {candidate.did: shared[key[0] or ""] for key, candidate in draft.candidates.items()}
    draft.queries = [
        query.model_copy(
            update={
                "pos_cand_list": [new[did].did for did in query.pos_cand_list],
                "neg_cand_list": sorted(new[did].did for did in query.neg_cand_list),
            }
        )
        for query in draft.queries
    ]
    draft.descriptions = {new[did].did: text for did, text in draft.descriptions.items()}
    draft.candidates = {key: shared[key[0] or ""] for key in draft.candidates}


def _write(out: Path, world: World, drafts: dict[Split, dict[str, Draft]]) -> None:
    queries: dict[tuple[Pair, Split], list[Query]] = {}
    pools: dict[tuple[Pair, Split | None], list[Candidate]] = {}
    descriptions: dict[str, str] = {}
    for split, made in drafts.items():
        for draft in made.values():
            check_words(world, draft)
            queries[draft.pair, split] = draft.queries
            pools[draft.pair, split] = list(draft.candidates.values())
            descriptions |= draft.descriptions
        truths = [truth for draft in made.values() for truth in draft.truths]
        write_jsonl(out / "truth" / f"{split}.jsonl", truths)
    pairs = {pair for pair, _ in queries}
    write_dataset(out, queries=queries, pools=pools, prompts={pair: PROMPTS[pair.task] for pair in pairs})
    write_jsonl(
        out / "truth" / "candidates.jsonl", ({"did": did, "text": text} for did, text in descriptions.items())
    )
    world.save(out)
    write_atomic(out / "ATTRIBUTION.md", f"# Attribution\n\n{ATTRIBUTION}\n")


def check_words(world: World, draft: Draft) -> None:
    """Every word must be one that the tiny model's tokenizer knows."""
    vocabulary = set(world.vocabulary)
    for text in _texts(draft):
        if unknown := set(text.split()) - vocabulary:
            raise DataError(
                f"words outside the vocabulary: {', '.join(sorted(unknown))}",
                where=draft.pair.name,
                remedy="name them in openmoji.world",
            )


def _texts(draft: Draft) -> Iterable[str]:
    yield from (query.query_txt or "" for query in draft.queries)
    yield from (candidate.txt or "" for candidate in draft.candidates.values())
    yield from (truth.text for truth in draft.truths)
