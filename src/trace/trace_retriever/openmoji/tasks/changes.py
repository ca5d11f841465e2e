"""Composed retrieval: a reference picture and edits in words → the edited scene's picture. Complex."""

from collections.abc import Sequence
from itertools import combinations_with_replacement

from trace_retriever.openmoji.draft import Draft
from trace_retriever.openmoji.edits import OPERATIONS, Composed, Operation, draw_composed
from trace_retriever.openmoji.sampling import RUN, Sampler
from trace_retriever.openmoji.scenes import Scene

DISTRACTORS = 2
TRIES = 500  # draws of edits of one reference


def fill_edits(to_picture: Draft, to_both: Draft, sampler: Sampler, count: int) -> None:
    """Runs of edits of one reference, whose targets are hard to tell from one another and from it."""
    seen: set[str] = set()
    for left in sampler.fill("edit", count, lambda: len(to_picture.queries)):
        run = _run(sampler, min(RUN, left))
        if not run:
            continue
        for draft in (to_picture, to_both):
            scenes = [run[0].reference, *(composed.target for composed in run)]
            siblings = [_candidate(draft, scene) for scene in scenes]
            for composed in run:
                if f"{composed.reference.caption} {composed.request}" not in seen:
                    _ask(draft, sampler, composed, siblings)
        seen.update(f"{composed.reference.caption} {composed.request}" for composed in run)


def _run(sampler: Sampler, most: int) -> list[Composed]:
    """Edits of one reference to different targets, of the split; fewer where it has no more."""
    held_out = sampler.pick(("placement", "operations")) if sampler.wants_held_out() else None
    reference = sampler.scene(held_out=held_out == "placement")
    menu = _menu(sampler, held_out == "operations")
    found: dict[str, Composed] = {}
    for _ in range(TRIES):
        composed = _draw(sampler, reference, menu)
        if composed is not None:
            found.setdefault(composed.target.caption, composed)
        if len(found) == most:
            break
    return list(found.values())


def _draw(sampler: Sampler, reference: Scene, menu: Sequence[tuple[Operation, ...]]) -> Composed | None:
    composed = draw_composed(reference, sampler.pick(menu), sampler.world.names, sampler.rng)
    if composed is None or composed.target == reference or not sampler.like(reference, composed.target):
        return None
    return composed


def _menu(sampler: Sampler, held_out: bool) -> list[tuple[Operation, ...]]:
    """Single operations and pairs of them, about half each; or the pairs that training never shows."""
    pairs = list(combinations_with_replacement(OPERATIONS, 2))
    unseen = [pair for pair in pairs if "+".join(sorted(pair)) in sampler.world.operations]
    if held_out:
        return [*unseen, *(pair[::-1] for pair in unseen)]
    seen = [pair for pair in pairs if pair not in unseen]
    ordered = [*seen, *(pair[::-1] for pair in seen)]
    return [
        *ordered,
        *((operation,) for operation in OPERATIONS for _ in range(len(ordered) // len(OPERATIONS))),
    ]


def _candidate(draft: Draft, scene: Scene) -> str:
    return draft.candidate(" , ".join(scene.names) if draft.pair.task == 8 else None, scene)


def _ask(draft: Draft, sampler: Sampler, composed: Composed, siblings: list[str]) -> None:
    rule = sampler.world.rule
    held_out = rule.held_out(composed.reference) + rule.held_out(composed.target)
    if composed.operations in sampler.world.operations:
        held_out.append(f"operations:{composed.operations}")
    near = [] if sampler.split == "train" else sampler.neighbours(composed.target, DISTRACTORS)
    draft.ask(
        composed.request,
        composed.reference,
        _candidate(draft, composed.target),
        negatives=[*siblings, *(_candidate(draft, scene) for scene in near)],
        trace=(composed.reasoning, composed.answer),
        held_out=held_out,
    )
