"""Pairs about facts: one hop, several hops, about a thing in a picture, about a thing beside another."""

import zlib
from collections.abc import Iterable

from trace_retriever.openmoji.draft import Draft
from trace_retriever.openmoji.sampling import RUN, Sampler
from trace_retriever.openmoji.scenes import CELLS, DIRECTIONS, Placed, Scene, Split
from trace_retriever.openmoji.tasks.scenes import page
from trace_retriever.openmoji.world import RELATIONS, World

WORDINGS = ("{r} of {n}", "the {r} of {n}", "{r} of the {n}", "{n} {r}", "the {n} {r}", "a {n} {r}")


def passages(world: World) -> list[str]:
    """All facts in words: the knowledge base."""
    return [world.fact(name, relation) for name, relation in world.facts]


def question_split(question: str) -> Split:
    """The split of a question without a picture: three in ten to test, one in ten to val."""
    bucket = zlib.crc32(question.encode()) % 10
    return "test" if bucket < 3 else "val" if bucket == 3 else "train"


def fill_facts(draft: Draft, sampler: Sampler, count: int) -> None:
    """`friend of crab` → the fact. Simple; a fact is asked for in one split only, in several wordings."""
    keys = [key for key in sampler.world.facts if question_split(" ".join(key)) == sampler.split]
    asked = [(key, wording) for key in keys for wording in WORDINGS]
    order = sampler.rng.permutation(len(asked))[:count]
    for (name, relation), wording in sorted((asked[int(number)] for number in order), key=str):
        negatives = [sampler.world.fact(name, other) for other in RELATIONS]
        _ask(draft, sampler.world, wording.format(r=relation, n=name), None, (name, relation), negatives)


def fill_hops(draft: Draft, sampler: Sampler, count: int) -> None:
    """`guest of boss of friend of crab` → a fact that takes two look-ups to find. Complex."""
    seen: set[str] = set()
    for _ in sampler.fill("question of two hops", count, lambda: len(draft.queries)):
        name, last = sampler.pick(sampler.world.names), sampler.pick(RELATIONS)
        first, second = sampler.until("relation chain", lambda: _chain(sampler, sampler.wants_held_out()))
        question = f"{last} of {second} of {first} of {name}"
        held_out = _held_out(sampler.world, first, second)
        if question in seen or not (held_out or question_split(question) == sampler.split):
            continue
        seen.add(question)
        middle = sampler.world.facts[name, first]
        end = sampler.world.facts[middle, second]
        steps = f"step : {sampler.world.fact(name, first)} ; step : {sampler.world.fact(middle, second)} ;"
        negatives = [sampler.world.fact(who, last) for who in (name, middle)] + [
            sampler.world.fact(end, first)
        ]
        _ask(draft, sampler.world, question, None, (end, last), negatives, steps=steps, held_out=held_out)


def fill_objects(to_words: Draft, to_both: Draft, sampler: Sampler, count: int) -> None:
    """`friend of thing at top` about a picture → the fact, alone or with the thing's picture. Simple."""
    for left in sampler.fill("question about a thing", count, lambda: len(to_words.queries)):
        scene = sampler.scene()
        held_out = sampler.world.rule.held_out(scene)
        asked = {(sampler.pick(scene.objects), sampler.pick(RELATIONS)) for _ in range(RUN)}
        for placed, relation in sorted(asked)[:left]:
            question = f"{relation} of thing at {CELLS[placed.cell]}"
            keys = [(name, relation) for name in scene.names] + [(placed.name, other) for other in RELATIONS]
            facts = [sampler.world.fact(*key) for key in keys]
            _ask(to_words, sampler.world, question, scene, (placed.name, relation), facts, held_out=held_out)
            others = [
                to_both.candidate(sampler.world.fact(*key), page(sampler.world, key[0])) for key in keys
            ]
            right = to_both.candidate(
                sampler.world.fact(placed.name, relation), page(sampler.world, placed.name)
            )
            to_both.ask(question, scene, right, negatives=others, held_out=held_out)


def fill_relations(draft: Draft, sampler: Sampler, count: int) -> None:
    """`friend of thing north of dog` about a picture, half of them with one more hop → the fact. Complex."""
    for left in sampler.fill("question beside a thing", count, lambda: len(draft.queries)):
        scene = sampler.scene(least=2)
        found = list(_asides(scene))
        order = sampler.rng.permutation(len(found))[: min(RUN, left)]
        for number in order:
            _ask_aside(draft, sampler, scene, *found[int(number)])


def _asides(scene: Scene) -> Iterable[tuple[Placed, str, Placed]]:
    """(anchor, direction, the one thing that lies there)."""
    for anchor in scene.objects:
        for direction in DIRECTIONS:
            beside = scene.beside(anchor.name, direction)
            if len(beside) == 1:
                yield anchor, direction, beside[0]


def _ask_aside(
    draft: Draft, sampler: Sampler, scene: Scene, anchor: Placed, direction: str, thing: Placed
) -> None:
    world = sampler.world
    held_out = world.rule.held_out(scene)
    steps = f"anchor : {anchor.text} ; object : {thing.text} ;"
    where = f"thing {direction} of {anchor.name}"
    if sampler.rng.random() < 0.5:
        relation = sampler.pick(RELATIONS)
        key, question = (thing.name, relation), f"{relation} of {where}"
    else:
        first, second = sampler.until("relation chain", lambda: _chain(sampler, sampler.wants_held_out()))
        steps += f" step : {world.fact(thing.name, first)} ;"
        held_out = held_out + _held_out(world, first, second)
        key, question = (world.facts[thing.name, first], second), f"{second} of {first} of {where}"
    negatives = [world.fact(name, key[1]) for name in scene.names]
    _ask(draft, world, question, scene, key, negatives, steps=steps, held_out=held_out)


def _ask(
    draft: Draft,
    world: World,
    question: str,
    scene: Scene | None,
    key: tuple[str, str],
    negatives: Iterable[str],
    *,
    steps: str = "",
    held_out: Iterable[str] = (),
) -> None:
    """Ask for the fact `key`; with `steps` it is a complex question."""
    fact = world.fact(*key)
    draft.ask(
        question,
        scene,
        draft.candidate(text=fact),
        negatives=[draft.candidate(text=other) for other in negatives],
        trace=(steps, f"target : {fact}") if steps else None,
        held_out=tuple(held_out),
    )


def _chain(sampler: Sampler, held_out: bool) -> tuple[str, str] | None:
    first, second = sampler.pick(RELATIONS), sampler.pick(RELATIONS)
    return (first, second) if (f"{first}+{second}" in sampler.world.chains) == held_out else None


def _held_out(world: World, first: str, second: str) -> list[str]:
    chain = f"{first}+{second}"
    return [f"chain:{chain}"] if chain in world.chains else []
