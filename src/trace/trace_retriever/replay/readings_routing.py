"""Readings of the table of efficiency, and of our own engine's figures by the same rule."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trace_retriever.replay.intervals import Difference
from trace_retriever.replay.readings import Reading, described
from trace_retriever.replay.tables import OWN, QUERIES, figure, read_modes, read_recall, read_table
from trace_retriever.replay.throughput import Mix, needed_turns, read_mix

# Which of MSCOCO's test sets the paper timed is not said: the smaller one gives the larger error.
SETS = {"mscoco": "mscoco_task3", "cirr": "cirr_task7"}
CLOSE = 0.1  # a rate within a tenth of the predicted one: overheads and the order of queries


def rates_on(dataset: str, title: str, why: str) -> Callable[[Path], Reading]:
    """A reading of whether a data set's adaptive rate is what its routing predicts."""

    def read(folder: Path) -> Reading:
        found = _mix(folder, dataset)
        return Reading(
            key=f"rate-{dataset}",
            claim=f"The share of {title} queries that reason explains the adaptive rate.",
            data=f"{found.share:.0%} reason: predicted {found.predicted:.1f} queries/s, "
            f"measured {found.adaptive}",
            reading=f"Measured is {found.ratio:.2f} of predicted, as if {found.implied_share:.0%} "
            f"reasoned. {why}",
            verdict="supported" if abs(found.ratio - 1) <= CLOSE else "not supported",
        )

    return read


def better_than_always(folder: Path) -> Reading:
    """Whether choosing is better than always reasoning, in recall and in rate."""
    parts = [_recall(folder, dataset, "always") for dataset in ("mscoco", "cirr")]
    beyond = all(part.size == "beyond" and part.value > 0 for part in parts)
    return Reading(
        key="adaptive-over-always",
        claim="Choosing when to reason finds more than always reasoning, and is faster.",
        data="; ".join(f"{part.name} {described(part)}" for part in parts),
        reading="Both gains are beyond what the test sets' size gives, CIRR's barely, at nearly twice "
        "the rate. A model that must reason on captions was never trained to: the gap on MSCOCO "
        "is that of a misuse.",
        verdict="supported" if beyond else "cannot tell",
    )


def gain_by_routing(folder: Path) -> Reading:
    """Whether routing can give the gain over the direct system on MSCOCO."""
    part = _recall(folder, "mscoco", "direct")
    found = _mix(folder, "mscoco")
    turned = needed_turns(part.second, part.first, found.share)
    return Reading(
        key="gain-by-routing",
        claim="On MSCOCO the adaptive system finds more than the direct one because some queries reason.",
        data=f"R@5 {described(part)}, while {found.share:.0%} reason",
        reading=f"If one model ran both ways, a net {turned:.0%} of the reasoning queries would have to turn "
        "from miss to hit, though reasoning on all of them loses more than 20 points. Another model, "
        "trained without traces, as the direct system would explain it; the paper does not say which it is.",
        verdict="cannot tell" if part.size == "beyond" else "not supported",
    )


def tables_agree(folder: Path) -> Reading:
    """Whether the adaptive system's recall is that of the main table."""
    main, modes = 100 * read_recall(folder), 100 * read_modes(folder)
    mscoco, cirr = (figure(modes, (name, "adaptive"), "recall_5") for name in SETS)
    named = ("mscoco_task0", "mscoco_task3", "cirr_task7")
    words, pictures, edits = (figure(main, OWN, name) for name in named)
    alike = abs(cirr - edits) < 0.1 and min(abs(mscoco - words), abs(mscoco - pictures)) < 0.1
    return Reading(
        key="tables-agree",
        claim="The model of the efficiency table is the model of the main table.",
        data=f"R@5 on CIRR {cirr:.2f} against {edits:.1f}; on MSCOCO {mscoco:.2f} against {words:.1f} (words "
        f"to picture) and {pictures:.1f} (picture to words)",
        reading="MSCOCO's figure is neither of the main table's, and CIRR's differs by more than rounding: "
        "other weights, other queries or another pool, and it is not said which.",
        verdict="supported" if alike else "not supported",
    )


def own_engine(modes: Mapping[str, Any]) -> Reading:
    """The same rule on our engine, on a CPU: trace tokens take the place of the share that reasons."""
    found = engine_routing(modes)
    good = found.ratio >= 1 - CLOSE
    return Reading(
        key="own-engine",
        claim="Our engine's adaptive rate is what its direct and always-reasoning rates predict.",
        data=f"{modes['queries']} test queries of the made benchmark on a CPU: {found.share:.0%} of the "
        f"trace tokens are written; predicted {found.predicted:.0f} queries/s, measured {found.adaptive:.0f}",
        reading=f"Measured is {found.ratio:.2f} of predicted: simple queries {'do not' if good else 'do'} "
        "wait for the others.",
        verdict="supported" if good else "not supported",
    )


def engine_routing(modes: Mapping[str, Any]) -> Mix:
    """Rates of the engine's benchmark; the share is of trace tokens, of which simple queries write fewer."""
    rate = {name: float(one["queries_per_second"]) for name, one in modes["modes"].items()}
    tokens = {name: float(one["tokens_per_query"]) for name, one in modes["modes"].items()}
    share = tokens["adaptive"] / tokens["always"]
    return Mix(direct=rate["never"], always=rate["always"], adaptive=rate["adaptive"], share=share)


def _mix(folder: Path, dataset: str) -> Mix:
    return read_mix(read_modes(folder), read_table(folder, "routing"), dataset)


def _recall(folder: Path, dataset: str, other: str) -> Difference:
    """R@5 of the adaptive system minus another's."""
    modes = read_modes(folder)
    first, second = (figure(modes, (dataset, mode), "recall_5") for mode in ("adaptive", other))
    return Difference(f"{dataset}: adaptive - {other}", first, second, QUERIES[SETS[dataset]])


READINGS: tuple[Callable[[Path], Reading], ...] = (
    rates_on("mscoco", "MSCOCO", "The server loses nearly half of what routing saves."),
    rates_on(
        "cirr",
        "CIRR",
        "Faster than its parts allow: traces must be shorter where the model chooses to write them, or the "
        "stated rate is not that of this run. Both data sets' rates fit about a third.",
    ),
    better_than_always,
    gain_by_routing,
    tables_agree,
)
