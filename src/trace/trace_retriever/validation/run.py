"""A data set's whole validation: tables, joins, suites, statistics."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from trace_retriever.config.validate import ValidateConfig
from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_file, read_json
from trace_retriever.mbeir.layout import Layout
from trace_retriever.validation import suites, tables
from trace_retriever.validation.chosen import Labels, trace_table
from trace_retriever.validation.drift import (
    CATEGORIES,
    NUMBERS,
    Statistics,
    categorical_counts,
    drift_table,
    numeric,
    summarise,
)
from trace_retriever.validation.great import Result, run_suites
from trace_retriever.validation.joins import Positives, routing_parts
from trace_retriever.validation.leaks import leak_table
from trace_retriever.validation.pictures import image_table
from trace_retriever.validation.pools import Candidates, pool_files
from trace_retriever.validation.queries import Queries
from trace_retriever.validation.rules import Suite
from trace_retriever.validation.spool import Spool


@dataclass(frozen=True)
class Validation:
    """What came of it.

    Attributes:
        results: one a suite, see `run_suites`.
        statistics: the columns' summaries.
        reachability: split → pair → share of positives in the local and the global pool.
        drift: one row a column held against the previous version; None when there is none.
        files: name below the data directories → digest, for every file that was read (pictures left out).
        images: how many distinct pictures the records name, and how many were opened.
    """

    results: list[Result]
    statistics: Statistics
    reachability: dict[str, dict[str, dict[str, float]]]
    drift: list[dict[str, Any]] | None
    files: dict[str, str]
    images: dict[str, int]

    @property
    def success(self) -> bool:
        """Whether every suite held."""
        return all(result["success"] for result in self.results)

    @property
    def failed(self) -> list[str]:
        """Names `suite.rule` of the expectations that failed."""
        return [f"{result['name']}.{rule}" for result in self.results for rule in result["failed"]]


def run_validation(
    config: ValidateConfig,
    *,
    dataset: Path,
    routes: Path,
    kept: Path,
    previous: Path | None,
    data_docs: Path,
    work: Path | None = None,
) -> Validation:
    """Validate a data set, its routes and its kept traces.

    Args:
        config: bounds and thresholds.
        dataset, routes, kept: the steps' outputs.
        previous: an earlier output of this step, to measure drift from.
        data_docs: where Data Docs go.
        work: where the large tables are kept, which a later run of the same data takes up again; None for
            nowhere.

    Raises:
        DataError: a file is missing, or a line cannot be read at all; names file and line.
    """
    with TemporaryDirectory() as scratch:
        return _validate(config, dataset, routes, kept, previous, data_docs, work or Path(scratch))


def _validate(
    config: ValidateConfig,
    dataset: Path,
    routes: Path,
    kept: Path,
    previous: Path | None,
    data_docs: Path,
    work: Path,
) -> Validation:
    layout = Layout(dataset)
    _require_splits(layout)
    before = _previous(previous) if previous else None
    queries, candidates = Queries(layout, work), Candidates(layout, work)
    qrels, traces = tables.qrels_table(layout, work), trace_table(kept, work)
    labels = Labels(routes)
    positives = Positives(layout, queries, candidates, qrels, config.reachability)
    pictures, distinct = image_table(dataset, queries, candidates, config.images)
    statistics = _statistics(queries, candidates, labels, traces)
    drift = None if before is None else drift_table(statistics, before, config.drift)
    chosen = _suites(config, dataset, queries, candidates, qrels, traces, labels, positives, pictures, drift)
    return Validation(
        results=run_suites(chosen, data_docs),
        statistics=statistics,
        reachability=positives.reachability(),
        drift=None
        if drift is None
        else [dict(zip(map(str, drift), row, strict=True)) for row in drift.itertuples(False, None)],
        files=dict(_digests({"dataset": _read_files(layout), "routes": [routes], "kept": [kept]}, dataset)),
        images={"distinct": distinct, "opened": len(pictures)},
    )


def _suites(
    config: ValidateConfig,
    dataset: Path,
    queries: Queries,
    candidates: Candidates,
    qrels: Spool,
    traces: Spool,
    labels: Labels,
    positives: Positives,
    pictures: pd.DataFrame,
    drift: pd.DataFrame | None,
) -> Iterator[Suite]:
    """One suite after another: a table is made when its turn has come, and let go when it is over."""
    yield suites.query_suite(queries, config)
    yield suites.candidate_suite(candidates, config.text)
    yield suites.qrels_suite(qrels, queries, positives)
    yield suites.positive_suite(positives)
    yield suites.image_suite(pictures, config.images)
    yield suites.leak_suite(leak_table(dataset, queries, candidates, config.leak.by), config.leak)
    yield suites.route_suite(labels, queries)
    yield suites.routing_suite(queries, labels, config.routes)
    complex_queries = sum(int(part["complex"].sum()) for part in routing_parts(queries, labels))
    yield suites.trace_suite(traces, queries, labels, config.traces, complex_queries)
    if drift is not None:
        yield suites.drift_suite(drift)


def _statistics(queries: Queries, candidates: Candidates, labels: Labels, traces: Spool) -> Statistics:
    spools = {"queries": queries.spool, "routes": labels.spool, "traces": traces}
    found = summarise(
        {name: spool.frame([*CATEGORIES[name], *NUMBERS[name]]) for name, spool in spools.items()}
    )
    found["candidates"] = {
        "pool": categorical_counts(candidates.spool.column("pool")),
        "modality": categorical_counts(candidates.spool.column("modality")),
        "characters": numeric(candidates.lengths()),
    }
    return found


def _require_splits(layout: Layout) -> None:
    missing = {"train", "test"} - set(tables.splits_of(layout))
    if missing:
        remedy = "a data set has train and test queries; run `trace prepare` again"
        raise DataError(
            f"no {' and no '.join(sorted(missing))} queries", where=layout.root / "query", remedy=remedy
        )


def _previous(path: Path) -> Statistics:
    file = path / "statistics.json"
    if not file.is_file():
        raise DataError(
            "not an earlier validation", where=file, remedy="name a directory that `trace validate` wrote"
        )
    found: Statistics = read_json(file)
    return found


def _read_files(layout: Layout) -> list[Path]:
    files = set(pool_files(layout)) | {layout.files.instructions}
    for split, pairs in tables.splits_of(layout).items():
        for pair in pairs:
            files |= {tables.query_file(layout, pair, split), tables.qrels_file(layout, pair, split)}
    return sorted(file for file in files if file.is_file())


def _digests(groups: dict[str, list[Path]], dataset: Path) -> Iterable[tuple[str, str]]:
    for group, paths in groups.items():
        for path in paths:
            files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
            base = path if path.is_dir() else dataset
            for file in files:
                yield f"{group}/{file.relative_to(base).as_posix()}", digest_file(file)
