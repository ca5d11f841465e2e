"""Sample queries for whoever reviews a model: what was asked, written and found, with small pictures.

The same queries are chosen for every model on the same data, so that two models can be shown side by side.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from trace_retriever.evaluation.runs import read_run
from trace_retriever.io.files import digest_tree, write_atomic
from trace_retriever.io.images import load_image
from trace_retriever.io.jsonl import write_jsonl
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.mbeir.records import Query
from trace_retriever.store.embeddings import Embeddings, read_parquet
from trace_retriever.store.shards import table_name

FOLDER, RECORDS, PICTURES = "samples", "samples.jsonl", "pictures"
SYSTEMS = ("auto", "never", "always", "budget")  # those that can be served
PER_PAIR, RESULTS, MAX_PICTURES, PIXELS, MAX_TEXT = 100, 5, 10_000, 96, 4000


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shown(_Part):
    """A query's or candidate's content: text, and the name of its picture in `pictures/`."""

    text: str | None = Field(None, max_length=MAX_TEXT)
    picture: str | None = Field(None, pattern=r"^[0-9a-f]{32}\.png$")


class Found(_Part):
    """One place of a ranking."""

    did: str
    score: float


class Sample(_Part):
    """One query of the local pool as one line of `samples.jsonl`.

    Attributes:
        positives: dids that are right.
        trace: what the model wrote where it reasoned; `true_trace` is known of made data only.
        candidates: did → content, of all that `rankings` and `positives` name and that lie in a pool.
        rankings: system → its first results.
    """

    pair: str
    qid: str
    query: Shown
    positives: list[str]
    trace: str = Field(max_length=MAX_TEXT)
    true_trace: str | None = Field(None, max_length=MAX_TEXT)
    candidates: dict[str, Shown]
    rankings: dict[str, list[Found]]


def write_samples(
    layout: Layout, embeddings: Embeddings, pairs: Iterable[str], runs: Path, folder: Path, split: Split
) -> str:
    """Write `samples.jsonl` and `pictures/`; returns the digest of both.

    Args:
        layout, embeddings: of the evaluation.
        pairs: names of the pairs that were evaluated.
        runs: its run files.
        folder: where to.
        split: whose queries they are.

    Raises:
        ImageError: a picture of the data set is missing or broken.
        DataError: a run or a table is.
    """
    album = _Album(layout.root, folder / PICTURES)
    table = embeddings.query_table
    written = dict(table.loc[table["split"] == split, ["qid", "trace"]].to_numpy())
    truths = layout.truth(split) or {}

    def samples() -> Iterator[Sample]:
        for name in sorted(pairs):
            chosen = choose(layout.queries(Pair.parse(name), split))
            rankings = _rankings(runs, name, {query.qid for query in chosen})
            contents = _contents(embeddings, chosen, rankings)
            for query in chosen:
                truth = truths.get(query.qid)
                yield _sample(
                    query,
                    name,
                    written.get(query.qid) or "",
                    truth.text if truth is not None and truth.text else None,
                    {system: found[query.qid] for system, found in rankings.items()},
                    contents,
                    album,
                )

    write_jsonl(folder / RECORDS, samples())
    return digest_tree(folder)


def choose(queries: Iterable[Query], count: int = PER_PAIR) -> list[Query]:
    """A pair's samples: those whose qids have the smallest hashes, which is the same draw for every model."""
    return sorted(queries, key=lambda query: hashlib.sha256(query.qid.encode()).digest())[:count]


def _rankings(runs: Path, pair: str, qids: set[str]) -> dict[str, dict[str, list[Found]]]:
    """System → qid → its first results."""
    found = {}
    for system in SYSTEMS:
        if (path := runs / system / f"{pair}.trec").is_file():
            ranked = read_run(path)
            found[system] = {
                qid: [Found(did=line.did, score=line.score) for line in ranked.get(qid, [])[:RESULTS]]
                for qid in qids
            }
    return found


def _contents(
    embeddings: Embeddings, queries: Sequence[Query], rankings: dict[str, dict[str, list[Found]]]
) -> dict[str, dict[str, Any]]:
    """Did → row of the candidate tables, for all that are shown; each table is read once."""
    import numpy as np

    from trace_retriever.mbeir.ids import candidate_number

    dids = {did for query in queries for did in query.pos_cand_list}
    dids |= {place.did for found in rankings.values() for places in found.values() for place in places}
    numbers = np.array(sorted(map(candidate_number, dids)), dtype=np.int64)
    rows = np.flatnonzero(np.isin(embeddings.numbers, numbers))
    size = embeddings.candidates.manifest.shard_rows
    contents: dict[str, dict[str, Any]] = {}
    for shard in np.unique(rows // size):
        table = read_parquet(embeddings.candidates.directory / table_name(int(shard)))
        for row in table.take(rows[rows // size == shard] % size).to_pylist():
            contents[row["did"]] = row
    return contents


def _sample(
    query: Query,
    pair: str,
    trace: str,
    true_trace: str | None,
    rankings: dict[str, list[Found]],
    contents: dict[str, dict[str, Any]],
    album: "_Album",
) -> Sample:
    named = {*query.pos_cand_list, *(place.did for places in rankings.values() for place in places)}
    shown = {
        did: Shown(
            text=_cut(contents[did]["text"]) or None, picture=album.add(contents[did]["img_path"] or None)
        )
        for did in sorted(named & set(contents))
    }
    return Sample(
        pair=pair,
        qid=query.qid,
        query=Shown(text=_cut(query.query_txt), picture=album.add(query.query_img_path)),
        positives=query.pos_cand_list,
        trace=_cut(trace) or "",
        true_trace=_cut(true_trace),
        candidates=shown,
        rankings=rankings,
    )


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


class _Album:
    """Small copies of pictures, each written once, under the digest of its bytes."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root, self._folder = root, folder
        self._names: dict[str, str | None] = {}

    def add(self, path: str | None) -> str | None:
        """The name of a picture's copy; None where there is no picture, or the album is full."""
        if path is None:
            return None
        if path not in self._names:
            full = len(self._names) >= MAX_PICTURES
            self._names[path] = None if full else self._write(path)
        return self._names[path]

    def _write(self, path: str) -> str:
        image = load_image(self._root, path)
        image.thumbnail((PIXELS, PIXELS))
        stream = io.BytesIO()
        image.save(stream, format="PNG")
        content = stream.getvalue()
        name = f"{hashlib.sha256(content).hexdigest()[:32]}.png"
        if not (self._folder / name).exists():
            write_atomic(self._folder / name, content)
        return name
