"""Pairs about whole scenes: caption ↔ picture, same scene, same things, a plain request. All simple."""

from itertools import permutations

from trace_retriever.openmoji.draft import Draft
from trace_retriever.openmoji.sampling import RUN, Sampler
from trace_retriever.openmoji.scenes import CELLS, Placed, Scene
from trace_retriever.openmoji.world import RELATIONS, World

DISTRACTORS = {"train": 0, "val": 2, "test": 2}  # in train, the scenes of a run are distractors enough


def fill_scenes(
    to_picture: Draft,
    to_words: Draft,
    to_both: Draft,
    same: Draft,
    plain: Draft,
    sampler: Sampler,
    count: int,
) -> None:
    """Five pairs over the same scenes, in runs that differ in one thing or place.

    Caption → picture; picture → caption; caption with a fact → picture with a fact; picture → another
    painting of the scene; the same with a plain request that names one thing of it.
    """
    for run in sampler.runs(count):
        for scene in run:
            out = sampler.world.rule.held_out(scene)
            others = sampler.neighbours(scene, DISTRACTORS[sampler.split])
            near = [*run, *others]
            captions = [to_words.candidate(text=other.caption) for other in near]
            to_words.ask(
                None, scene, to_words.candidate(text=scene.caption), negatives=captions, held_out=out
            )
            _ask_with_fact(to_both, sampler, scene, near, out)
            request = f"where {sampler.pick(scene.objects).text}"
            asked = ((to_picture, scene.caption, None), (same, None, scene), (plain, request, scene))
            for draft, text, shown in asked:
                pictures = [draft.candidate(scene=other) for other in near]
                draft.ask(text, shown, draft.candidate(scene=scene), negatives=pictures, held_out=out)


def _ask_with_fact(
    draft: Draft, sampler: Sampler, scene: Scene, others: list[Scene], held_out: list[str]
) -> None:
    fact, other_fact = (_fact_about(sampler, scene) for _ in range(2))
    negatives = [draft.candidate(fact, other) for other in others if other != scene]
    negatives.append(draft.candidate(other_fact, scene))
    draft.ask(
        f"{scene.caption} note {fact}",
        None,
        draft.candidate(fact, scene),
        negatives=negatives,
        held_out=held_out,
    )


def _fact_about(sampler: Sampler, scene: Scene) -> str:
    return sampler.world.fact(sampler.pick(scene.names), sampler.pick(RELATIONS))


def fill_same_things(draft: Draft, sampler: Sampler, count: int) -> None:
    """Picture → a picture of the same things in other places; what is near shares all things but one."""
    seen: set[frozenset[str]] = set()
    for left in sampler.fill("set of things", count, lambda: len(draft.queries)):
        held_out = sampler.wants_held_out()
        first = sampler.scene(least=2).names
        sets = [first, *(_with_one_changed(sampler, first) for _ in range(RUN - 1))]
        strangers = [_with_one_changed(sampler, names) for names in sets * DISTRACTORS[sampler.split]]
        fresh = {frozenset(names): names for names in (*sets, *strangers) if frozenset(names) not in seen}
        seen.update(fresh)
        shown = {
            names: two for names in fresh.values() if len(two := _arrangements(sampler, names, held_out)) == 2
        }
        negatives = [draft.candidate(scene=target) for _, target in shown.values()]
        asked = [shown[names] for names in sets if names in shown]
        for query, target in asked[:left]:
            out = sampler.world.rule.held_out(query) + sampler.world.rule.held_out(target)
            draft.ask(None, query, draft.candidate(scene=target), negatives=negatives, held_out=out)


def _with_one_changed(sampler: Sampler, names: tuple[str, ...]) -> tuple[str, ...]:
    changed = int(sampler.rng.integers(len(names)))
    new = sampler.pick([name for name in sampler.world.names if name not in names])
    return (*names[:changed], new, *names[changed + 1 :])


def _arrangements(sampler: Sampler, names: tuple[str, ...], held_out: bool) -> list[Scene]:
    """Two of the split's scenes that show just these things, or as many as there are."""
    places = permutations(range(len(CELLS)), len(names))
    scenes = [Scene.of(dict(zip(names, cells, strict=True))) for cells in places]
    rule = sampler.world.rule
    found = [scene for scene in scenes if sampler.accepts(scene) and (held_out or not rule.held_out(scene))]
    return [found[int(number)] for number in sampler.rng.permutation(len(found))[:2]]


def page(world: World, name: str) -> Scene:
    """A thing alone: the picture on its page of the knowledge base.

    The knowledge base is shared by the splits, as OVEN's and InfoSeek's pages are; so what its pictures show
    is always a scene of the train split, painted anew for each split.
    """
    alone = (Scene((Placed(cell, name),)) for cell in range(len(CELLS)))
    return next(scene for scene in alone if world.rule.split(scene) == "train")
