"""What a gate reads of an evaluation: the per-query records and the pairs' true routes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_bytes, digest_file, read_json

QUERIES, RESULTS, VALIDATION = "queries.parquet", "results.json", "validation.json"
COLUMNS = ["system", "pool", "pair", "qid", "headline", "route", "trace_tokens", "truncated"]


@dataclass(frozen=True)
class Evidence:
    """An evaluation as a gate sees it.

    Attributes:
        queries: one row a (system, pool, query); columns `COLUMNS`.
        true_routes: pair → "simple" or "complex", pairs without one known left out.
        digest: see `evidence_digest`.
        files: digests of the data it was measured on, by name, from step `validate`; None when unknown.
    """

    queries: pd.DataFrame = field(repr=False)
    true_routes: dict[str, str]
    digest: str
    files: dict[str, str] | None = field(repr=False)

    def rows(self, system: str, pool: str) -> pd.DataFrame:
        """The records of one system on one kind of pool, ordered by pair and qid.

        Raises:
            DataError: there are none; says which there are.
        """
        chosen = self.queries[(self.queries["system"] == system) & (self.queries["pool"] == pool)]
        if chosen.empty:
            known = self.queries[["system", "pool"]].drop_duplicates().sort_values(["system", "pool"])
            names = ", ".join(f"{row.system} on {row.pool}" for row in known.itertuples())
            raise DataError(
                f"no records of system {system!r} on {pool!r} pools",
                remedy=f"set gate.system and gate.pool to what was evaluated: {names or 'nothing'}",
            )
        return chosen.sort_values(["pair", "qid"], ignore_index=True)


def locate(path: Path) -> Path:
    """The directory of the records: an evaluation itself, or the `evidence/` of a registered model."""
    inner = path / "evidence"
    return inner if (inner / QUERIES).is_file() else path


def evidence_digest(path: Path) -> str:
    """Names an evaluation: SHA-256 over the digests of its records and results.

    Raises:
        DataError: a file is missing.
    """
    for name in (QUERIES, RESULTS):
        if not (path / name).is_file():
            raise DataError(
                "not an evaluation: file missing", where=path / name, remedy="run `trace evaluate`"
            )
    parts = [f"{name} {digest_file(path / name)}\n" for name in (QUERIES, RESULTS)]
    return digest_bytes("".join(parts).encode())


def read_evidence(path: Path, validation: dict[str, Any] | None = None) -> Evidence:
    """Read an evaluation, or the evidence of a registered model.

    Args:
        path: its directory.
        validation: the content of the `validation.json` of its data; None looks for one beside the records.

    Raises:
        DataError: a file is missing or broken, lacks a column, holds a missing value, or has a query twice.
    """
    folder = locate(path)
    digest = evidence_digest(folder)
    if validation is None and (folder / VALIDATION).is_file():
        validation = read_json(folder / VALIDATION)
    return Evidence(
        queries=_read_queries(folder / QUERIES),
        true_routes=_true_routes(folder / RESULTS),
        digest=digest,
        files=None if validation is None else validation.get("files"),
    )


def _read_queries(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path, columns=COLUMNS)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read the records: {error}", where=path, remedy="run `trace evaluate` again"
        ) from None
    empty = [name for name in COLUMNS if frame[name].isna().any()]
    if empty:
        raise DataError(f"missing values in column(s) {', '.join(empty)}", where=path)
    twice = frame.duplicated(["system", "pool", "pair", "qid"])
    if twice.any():
        row = frame[twice].iloc[0]
        raise DataError(
            f"query {row['qid']} of {row['pair']} is there twice for system {row['system']!r}", where=path
        )
    return frame


def _true_routes(path: Path) -> dict[str, str]:
    pairs = read_json(path).get("pairs")
    if not isinstance(pairs, dict):
        raise DataError("results have no 'pairs'", where=path, remedy="run `trace evaluate` again")
    found = {name: pair.get("true_route") for name, pair in pairs.items()}
    return {name: route for name, route in found.items() if route in ("simple", "complex")}
