"""The report: the ten answers as a page to look at, as Markdown, and as the table in the README."""

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_retriever.errors import DataError
from trace_retriever.experiments.answer import Answer
from trace_retriever.experiments.questions import (
    candidates,
    labels,
    paper_replay,
    positions,
    reasoning,
    settings,
    throughput,
    transfer,
    two_stages,
    usage,
)
from trace_retriever.experiments.study import Study
from trace_retriever.experiments.tables import Tables
from trace_retriever.experiments.units import PROBES
from trace_retriever.io.files import read_json, write_atomic, write_json
from trace_retriever.io.html import Section, figure, join, note, page, paragraph, table
from trace_retriever.replay.tables import PAPER

if TYPE_CHECKING:
    import pandas as pd

ENGINE = Path("benchmarks/results/engine.json")  # what a direct query and a token cost
REPLAY = Path("experiments/results/replay.json")
TITLE = "The paper's questions, answered with our own measurements"


def answers(
    tables: Tables, engine: Path = ENGINE, replay: Path = REPLAY, paper: Path = PAPER
) -> list[Answer]:
    """The answers that tables give, in order.

    Args:
        tables: what the study's units found.
        engine: the engine's benchmark, for what a token costs.
        replay: the readings of the paper's tables.
        paper: those tables.

    Raises:
        DataError: a variant or probe was not run with any seed; names all of them.
    """
    if missing := sorted({*tables.study.variants, *PROBES} - set(tables.seeds)):
        raise DataError(
            f"not run yet: {', '.join(missing)}",
            where=tables.results,
            remedy="run `python experiments/run.py`; it goes on from what is there",
        )
    cost = read_json(engine)["route_cost"]
    return [
        reasoning.answer(tables),
        throughput.answer(tables, cost, paper),
        transfer.answer(tables),
        candidates.answer(tables),
        positions.answer(tables),
        settings.answer(tables),
        two_stages.answer(tables),
        usage.answer(tables),
        labels.answer(tables),
        paper_replay.answer(replay),
    ]


def write_report(study: Study, results: Path) -> list[Answer]:
    """Write `report.html`, `report.md` and `answers.json` from the tables in `results`; see `answers`."""
    tables = Tables(study, results)
    found = answers(tables)
    write_atomic(results / "report.html", as_page(found, tables))
    write_atomic(results / "report.md", as_markdown(found, tables))
    write_json(results / "answers.json", as_records(found))
    return found


def as_records(found: Sequence[Answer]) -> list[dict[str, Any]]:
    """The answers in short, for JSON."""
    names = ("number", "title", "claim", "verdict", "finding", "seeds")
    return [{name: getattr(one, name) for name in names} for one in found]


def overview(found: Sequence[Answer]) -> "pd.DataFrame":
    """Question, claim, verdict and finding, a row an answer."""
    import pandas as pd

    rows = [[one.title, one.claim, one.verdict, one.finding, one.seeds] for one in found]
    columns = ["question", "what the paper says", "here", "finding", "seeds"]
    return pd.DataFrame(rows, index=[one.number for one in found], columns=columns)


def as_page(found: Sequence[Answer], tables: Tables) -> str:
    """One HTML file that loads nothing from elsewhere."""
    start = Section("In short", join(*map(_paragraph, intro(tables)), table(overview(found))))
    return page(TITLE, [start, *(_section(one) for one in found), Section("Runs", _runs(tables))])


def _paragraph(text: str) -> Any:
    """A paragraph without Markdown's marks."""
    return paragraph(text.replace("`", ""))


def _section(one: Answer) -> Any:
    parts = [note(f"{one.claim} Here: {one.verdict}."), paragraph(one.finding)]
    parts += [figure(drawing, caption) for caption, drawing in one.drawings]
    parts += [table(frame, ".2f", caption=caption) for caption, frame in one.tables]
    parts += [_paragraph(text) for text in one.paragraphs]
    return Section(f"{one.number}. {one.title}", join(*parts))


def as_markdown(found: Sequence[Answer], tables: Tables) -> str:
    """The same without drawings."""
    parts = [f"# {TITLE}", *intro(tables), markdown_table(overview(found))]
    for one in found:
        parts += [f"## {one.number}. {one.title}", f"*{one.claim}* Here: **{one.verdict}**.", one.finding]
        for caption, frame in one.tables:
            parts += [f"{caption}:", markdown_table(frame)]
        parts += one.paragraphs
    return "\n\n".join([*parts, "## Runs", _runs_text(tables)]) + "\n"


def intro(tables: Tables) -> list[str]:
    """How it was done, for somebody who has read the abstract alone."""
    data, base = tables.study.data, tables.study.base
    runs = sum(len(seeds) for name, seeds in tables.seeds.items() if name in tables.study.variants)
    return [
        f"A model of 0.8 million parameters is trained {runs} times on a made benchmark of OpenMoji "
        "pictures: "
        f"{len(tables.simple_pairs)} simple pairs and {len(tables.complex_pairs)} complex ones, "
        f"at most {data.sizes['train']:,} training queries a pair. All variants start from the same "
        "pre-trained "
        f"backbone and see the same queries in {base['steps']} updates of {base['batch']}; nothing is "
        "chosen on "
        "the test queries, and the last weights are taken.",
        f"Figures are from {data.sizes['test']} held-out test queries a pair among the pair's whole "
        "pool; intervals "
        "are 95 % bootstrap intervals over training seeds and queries, differences are paired by "
        "seed and query. "
        "With three or five seeds they are a rough guide. `held` and `reversed` say that the interval of the "
        "deciding difference lies on one side of zero, `not seen` that it lies within five points of it.",
        "What such a model shows need not hold for one of 7 billion parameters: it says which "
        "effects the method "
        "itself brings, where pictures and language are easy.",
    ]


def _runs(tables: Tables) -> Any:
    import pandas as pd

    rows = [
        [
            name,
            ", ".join(map(str, seeds)),
            float(sum(tables.about(name, seed)["seconds"] for seed in seeds)) / len(seeds),
        ]
        for name, seeds in tables.seeds.items()
    ]
    frame = pd.DataFrame(rows, columns=["variant or probe", "seeds", "seconds a seed"])
    return join(paragraph(_runs_text(tables)), table(frame, ".0f"))


def _runs_text(tables: Tables) -> str:
    """Where the figures come from."""
    found = [tables.about(name, seed) for name, seeds in tables.seeds.items() for seed in seeds]
    commits = Counter(str(one["commit"])[:12] for one in found)
    platforms = sorted({str(one["machine"]["platform"]) for one in found})
    hours = sum(one["seconds"] for one in found) / 3600
    listed = ", ".join(f"{commit} ({count})" for commit, count in commits.most_common())
    return (
        f"{len(found)} runs, {hours:.1f} hours of one core each (not alone on their machine), at "
        f"commit {listed}; "
        f"{', '.join(platforms)}. Each has its params, commit, machine and seconds beside its table in "
        "experiments/results/runs. Made by `python experiments/run.py`."
    )


def markdown_table(frame: "pd.DataFrame") -> str:
    """A data frame as a Markdown table; row labels are shown unless they only count."""
    import pandas as pd

    named = not isinstance(frame.index, pd.RangeIndex)
    heads = [*([""] if named else []), *map(str, frame.columns)]
    lines = [heads, ["---"] * len(heads)]
    for label, values in zip(frame.index, frame.itertuples(index=False, name=None), strict=True):
        lines.append([*([str(label)] if named else []), *map(_cell, values)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    text = f"{value:.2f}" if isinstance(value, float) else str(value)
    return html.escape(text, quote=False).replace("|", "\\|")
