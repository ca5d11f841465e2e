"""Readings of the ablations on CIRR."""

from collections.abc import Callable, Sequence
from pathlib import Path

from trace_retriever.replay.ablations import DEPTHS, against_chosen, compare
from trace_retriever.replay.intervals import Difference
from trace_retriever.replay.readings import Reading, Verdict, points
from trace_retriever.replay.tables import read_ablation

ONE_RUN = "Each variant is one run: what another seed would give is not published."


def position(folder: Path) -> Reading:
    """Whether the state before `<|emb|>` is the best one to read."""
    parts = against_chosen(read_ablation(folder, "position"))
    return Reading(
        key="position",
        claim="The state before <|emb|> is a better embedding than that of <|emb|> or of a structural tag.",
        data=_extent(parts),
        reading=f"All differences are beyond what 4,170 queries give. {ONE_RUN}",
        verdict=_all_beyond(parts),
    )


def full_trace(folder: Path) -> Reading:
    """Whether a whole trace is better than a part of it, or none."""
    parts = against_chosen(read_ablation(folder, "parts"))
    return Reading(
        key="full-trace",
        claim="Reasoning and answer together are better than either alone, or neither.",
        data=_extent(parts),
        reading=f"{_count(parts)} differences are beyond what 4,170 queries give. {ONE_RUN}",
        verdict=_at_5(parts),
    )


def half_trace(folder: Path) -> Reading:
    """Whether a part of a trace is better than none."""
    parts = [
        compare(read_ablation(folder, "parts"), part, "none", k)
        for part in ("answer only", "reasoning only")
        for k in DEPTHS
    ]
    return Reading(
        key="half-trace",
        claim="Reasoning alone, or an answer alone, helps over no trace.",
        data=_extent(parts),
        reading=f"{_count(parts)} differences are beyond what 4,170 queries give. At R@5 there is next to "
        "nothing, so that the parts would have to help only when together.",
        verdict=_at_5(parts),
    )


def candidate_side(folder: Path) -> Reading:
    """Whether candidates should not reason."""
    parts = against_chosen(read_ablation(folder, "candidates"))
    return Reading(
        key="candidate-side",
        claim="Candidates must not reason.",
        data=_extent(parts),
        reading="Far beyond any error. A fall to a third is that of a broken pairing more than of worse "
        "vectors; how these variants were trained is not said.",
        verdict=_all_beyond(parts),
    )


def needs_generation(folder: Path) -> Reading:
    """Whether training without the generation loss is worse."""
    parts = [compare(read_ablation(folder, "lambda_gen"), "1", "0", k) for k in DEPTHS]
    return Reading(
        key="needs-generation",
        claim="Without the loss on traces (lambda_gen 0) retrieval is worse.",
        data=_extent(parts),
        reading="Beyond what 4,170 queries give. The row equals that of `none` under parts of traces to the "
        f"digit: one run, shown twice. {ONE_RUN}",
        verdict=_all_beyond(parts),
    )


def best_lambda(folder: Path) -> Reading:
    """Whether 1 is better than its neighbours, a half and 2."""
    parts = [
        compare(read_ablation(folder, "lambda_gen"), "1", other, k) for other in ("0.5", "2") for k in DEPTHS
    ]
    return Reading(
        key="best-lambda",
        claim="lambda_gen 1 is better than 0.5 and 2.",
        data=_extent(parts),
        reading=f"{_count(parts)} differences are beyond what 4,170 queries give: half or twice the weight "
        "may be as good.",
        verdict=_at_5(parts),
    )


def _all_beyond(parts: Sequence[Difference]) -> Verdict:
    return "supported" if all(part.size == "beyond" and part.value > 0 for part in parts) else "cannot tell"


def _at_5(parts: Sequence[Difference]) -> Verdict:
    """By R@5, CIRR's headline figure, against each of the variants."""
    return _all_beyond([part for part in parts if part.name.endswith("R@5")])


def _count(parts: Sequence[Difference]) -> str:
    return f"{sum(part.size == 'beyond' for part in parts)} of {len(parts)}"


def _extent(parts: Sequence[Difference]) -> str:
    values = [part.value for part in parts]
    errors = [100 * part.error for part in parts]
    return (
        f"CIRR, {len(parts)} differences of R@1, R@5 and R@10 from {points(min(values))} to "
        f"{points(max(values))} (standard errors {min(errors):.2f} to {max(errors):.2f})"
    )


READINGS: tuple[Callable[[Path], Reading], ...] = (
    position,
    full_trace,
    half_trace,
    candidate_side,
    needs_generation,
    best_lambda,
)
