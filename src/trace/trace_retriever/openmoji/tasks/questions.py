"""Pairs about facts: one hop, several hops, about a thing in a picture, about a thing beside another."""

import zlib
from collections.abc import Iterable

from trace_retriever.openmoji.draft import Draft
from trace_retriever.openmoji.sampling import RUN, Sampler
from trace_retriever.openmoji.scenes import CELLS, DIRECTIONS, Placed, Scene, Split
from trace_retriever.openmoji.tasks.scenes import page
from trace_retriever.openmoji.world import RELATIONS, World

Chains = list[tuple[str, str]]
WORDINGS = ("{r} of {n}", "the {r} of {n}", "{r} of the {n}", "{n} {r}", "the {n} {r}", "a {n} {r}")


def passages(world: World) -> list[str]:
    """All facts in words: the knowledge base."""
    return [world.fact(name, relation) for name, relation in world.facts]


def question_split(question: str) -> Split:
    """The split of a question without a picture: three in ten to test, one in ten to val."""
    bucket = zlib.crc32(question.encode()) % 10
    return "test" if bucket < 3 else "val" if bucket == 3 else "train"


def fill_facts(draft: Draft, sampler: Sampler, count: int) -> None:
    """`friend of crab` → the fact. Simple; a fact is asked for in one split only, in several wordings.

    There are only so many facts: with few pictures there are fewer questions than asked for.
    """
    keys = [key for key in sampler.world.facts if question_split(" ".join(key)) == sampler.split]
    asked = [(key, wording) for key in keys for wording in WORDINGS]
    order = sampler.rng.permutation(len(asked))[:count]
    for (name, relation), wording in sorted((asked[int(number)] for number in order), key=str):
        negatives = [sampler.world.fact(name, other) for other in RELATIONS]
        _ask(draft, sampler.world, wording.format(r=relation, n=name), None, (name, relation), negatives)


def fill_hops(draft: Draft, sampler: Sampler, count: int) -> None:
    """`guest of boss of friend of crab` → a fact that takes two look-ups to find. Complex.

    A question belongs to a split by all but its last relation: where two look-ups lead is new in test.
    """
    world = sampler.world
    seen: set[str] = set()
    while len(draft.queries) < count:
        chains = _chains(sampler)

        def question(chains: Chains = chains) -> tuple[str, str, str, str] | None:
            (first, second), name, last = (
                sampler.pick(chains),
                sampler.pick(world.names),
                sampler.pick(RELATIONS),
            )
            begins = f"{second} of {first} of {name}"
            fits = bool(_held_out(world, first, second)) or question_split(begins) == sampler.split
            return (name, first, second, last) if fits and f"{last} of {begins}" not in seen else None

        name, first, second, last = sampler.until("question of two hops", question)
        asked = f"{last} of {second} of {first} of {name}"
        seen.add(asked)
        middle = world.facts[name, first]
        end = world.facts[middle, second]
        steps = f"step : {world.fact(name, first)} ; step : {world.fact(middle, second)} ;"
        negatives = [world.fact(who, last) for who in (name, middle)] + [world.fact(end, first)]
        held_out = _held_out(world, first, second)
        _ask(draft, world, asked, None, (end, last), negatives, steps=steps, held_out=held_out)


def fill_objects(to_words: Draft, to_both: Draft, sampler: Sampler, count: int) -> None:
    """`friend of thing at top` about a picture → the fact, alone or with the thing's picture. Simple."""
    seen: set[tuple[str, str]] = set()
    for left in sampler.fill("question about a thing", count, lambda: len(to_words.queries)):
        scene = sampler.scene()
        held_out = sampler.world.rule.held_out(scene)
        asked = {(sampler.pick(scene.objects), sampler.pick(RELATIONS)) for _ in range(RUN)}
        for placed, relation in sorted(asked)[:left]:
            question = f"{relation} of thing at {CELLS[placed.cell]}"
            if (scene.caption, question) in seen:
                continue
            seen.add((scene.caption, question))
            keys = [(name, relation) for name in scene.names] + [(placed.name, other) for other in RELATIONS]
            facts = [sampler.world.fact(*key) for key in keys]
            _ask(to_words, sampler.world, question, scene, (placed.name, relation), facts, held_out=held_out)
            others = [
                to_both.candidate(sampler.world.fact(*key), page(sampler.world, key[0]), page=True)
                for key in keys
            ]
            right = to_both.candidate(
                sampler.world.fact(placed.name, relation), page(sampler.world, placed.name), page=True
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
    # first all that is seen, then what it is looked up for: a place said at once is wrong twice as often
    steps = f"reference : {scene.caption} ; anchor : {anchor.text} ; object : {thing.text} ;"
    where = f"thing {direction} of {anchor.name}"
    if sampler.rng.random() < 0.5:
        relation = sampler.pick(RELATIONS)
        key, question = (thing.name, relation), f"{relation} of {where}"
    else:
        first, second = sampler.pick(_chains(sampler))
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


def _chains(sampler: Sampler) -> Chains:
    """Pairs of relations whose chaining training shows; now and then in test, those that it never shows."""
    held_out = sampler.wants_held_out()
    chains = [(first, second) for first in RELATIONS for second in RELATIONS]
    return [one for one in chains if ("+".join(one) in sampler.world.chains) == held_out]


def _held_out(world: World, first: str, second: str) -> list[str]:
    chain = f"{first}+{second}"
    return [f"chain:{chain}"] if chain in world.chains else []
