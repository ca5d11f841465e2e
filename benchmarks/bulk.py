"""Bulk embedding of a million candidates, and exact search in what it left: records a second, peak memory.

    python benchmarks/bulk.py                 # benchmarks/results/bulk.json

Made text candidates go the way that `embed` takes them: they are located in their pool's file, read unit by
unit, encoded by processes that share the shards by claims, united where contents are equal, and named by
digests. **No network is asked**: a text's vector is a hash of it, so that what is measured is all that
happens around the model. Then the shards are searched from disk: every query is the text of some candidate,
which must come first. Each part is a process of its own, whose peak of resident memory the kernel reports.
"""

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from trace_retriever.io.files import read_json
from trace_retriever.store.matrix import Vectors

if TYPE_CHECKING:
    from trace_retriever.bulk.filling import Filling
    from trace_retriever.engine.encoded import Encoded, Reason
    from trace_retriever.model.items import Item

RESULT = Path(__file__).resolve().parent / "results" / "bulk.json"
DIM, K, SEED, QUERIES = 256, 50, 0, 1000
UNIT = 4096
POOL = "cand_pool/local/mbeir_webqa_task1_cand_pool.jsonl"
WORDS = ("amber", "birch", "cliff", "dune", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll")


def text_of(number: int) -> str:
    """What a candidate says; all say something else."""
    words = (WORDS[number // len(WORDS) ** place % len(WORDS)] for place in range(6))
    return f"Fact {number} tells of {' '.join(words)}, and of what lies behind."


def hashed(text: str) -> Vectors:
    """A unit vector that depends on the text alone, float32 [DIM]."""
    digest = hashlib.shake_256(text.encode()).digest(DIM)
    vector = np.frombuffer(digest, np.int8).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def encode(items: "Sequence[Item]", reason: "Reason") -> "Iterator[Encoded]":  # noqa: ARG001
    """In place of the engine."""
    from trace_retriever.engine.encoded import Encoded

    for item in items:
        vector = hashed(item.text or "")
        yield Encoded(direct=vector, reasoned=vector, route="simple", p_emb=1.0)


def filling(folder: Path) -> "Filling":
    """The work as `embed` sets it up; locating the candidates goes once through the pool."""
    from trace_retriever.bulk.filling import Filling
    from trace_retriever.bulk.keys import Keys
    from trace_retriever.bulk.records import locate_candidates
    from trace_retriever.bulk.tasks import CandidateTask
    from trace_retriever.mbeir.layout import Layout
    from trace_retriever.model.pictures import PatchSpec, PictureReader
    from trace_retriever.store.filling import SHARD_ROWS
    from trace_retriever.store.previous import Previous

    root = folder / "dataset"
    records = locate_candidates([(root / POOL, lambda _: True)], root=root)
    spec = PatchSpec(
        patch_size=14,
        merge_size=2,
        temporal_patch_size=2,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        min_pixels=28 * 28,
        max_pixels=56 * 56,
    )
    return Filling(
        task=CandidateTask(Layout(root), records, Keys("a hash", PictureReader(spec), 1)),
        work=folder / "work",
        previous=Previous.open(None, "candidates"),
        dim=DIM,
        dtype=np.dtype(np.float16),
        shard_rows=SHARD_ROWS,
        unit=UNIT,
        part=(0, 1),
    )


def make(folder: Path, count: int) -> dict[str, Any]:
    """Write the pool."""
    from trace_retriever.io.jsonl import write_jsonl
    from trace_retriever.mbeir.records import Candidate, Modality

    path = folder / "dataset" / POOL
    rows = (
        Candidate(did=f"2:{n}", txt=text_of(n), img_path=None, modality=Modality.TEXT) for n in range(count)
    )
    write_jsonl(path, rows)
    return {"bytes": path.stat().st_size}


def embed(folder: Path, **_: Any) -> dict[str, Any]:
    """Fill shards beside other processes."""
    started = time.perf_counter()
    work = filling(folder)
    located = time.perf_counter()
    work.run(encode, "candidates")
    filled = time.perf_counter()
    work.finish()
    return {
        "locating_seconds": located - started,
        "filling_seconds": filled - located,
        "finishing_seconds": time.perf_counter() - filled,
        "cpu_seconds": time.process_time(),
    }


def search(folder: Path, count: int) -> dict[str, Any]:
    """Search the shards, as they lie on disk, for the texts of some candidates."""
    from trace_retriever.mbeir.text import candidate_text
    from trace_retriever.search.exact import ExactIndex
    from trace_retriever.store.shards import ShardedMatrix

    matrix = ShardedMatrix.open(folder / "work")
    matrix.verify()
    chosen = np.random.default_rng(SEED).choice(count, min(QUERIES, count), replace=False)
    asked = np.stack([hashed(candidate_text(text_of(number)) or "") for number in chosen.tolist()])
    before, started = _peak(), time.perf_counter()
    found = ExactIndex(matrix).search(asked, K)
    return {
        "queries": len(asked),
        "k": K,
        "seconds": time.perf_counter() - started,
        "peak_bytes_before": before,
        "found_first": float((found.rows[:, 0] == chosen).mean()),
    }


PARTS: dict[str, Callable[..., dict[str, Any]]] = {"make": make, "embed": embed, "search": search}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_part(asked: str) -> None:
    """The other side of `start`."""
    arguments = json.loads(asked)
    part, out, folder = PARTS[arguments.pop("part")], Path(arguments.pop("out")), Path(arguments["folder"])
    figures = part(folder, count=arguments["count"])
    out.write_text(json.dumps(figures | {"peak_bytes": _peak()}))


def start(part: str, folder: Path, count: int, number: int = 0) -> tuple["subprocess.Popen[bytes]", Path]:
    """Start a part in a process of its own; where its figures will be."""
    out = folder / f"{part}{number}.json"
    asked = json.dumps({"part": part, "out": str(out), "folder": str(folder), "count": count})
    return subprocess.Popen([sys.executable, __file__, "--part", asked]), out


def together(part: str, folder: Path, count: int, processes: int = 1) -> list[dict[str, Any]]:
    """Run a part in some processes side by side; the figures of each."""
    running = [start(part, folder, count, number) for number in range(processes)]
    codes = [process.wait() for process, _ in running]
    if any(codes):
        raise click.ClickException(f"{part} ended with code {max(codes, key=abs)}")
    return [read_json(out) for _, out in running]


def measure(folder: Path, count: int, processes: int) -> dict[str, Any]:
    """All parts, one after another."""
    [pool] = together("make", folder, count)
    started = time.perf_counter()
    embedding = together("embed", folder, count, processes)
    seconds = time.perf_counter() - started
    [searching] = together("search", folder, count)
    stored = sum(path.stat().st_size for path in (folder / "work").iterdir())
    return {
        "candidates": count,
        "dim": DIM,
        "pool_bytes": pool["bytes"],
        "stored_bytes": stored,
        "embedding": {
            "seconds": seconds,
            "records_per_second": count / seconds,
            "peak_bytes": max(one["peak_bytes"] for one in embedding),
            "processes": embedding,
        },
        "search": searching,
    }


def measured_on() -> dict[str, Any]:
    """Machine, versions and command; in a process of its own, whose memory counts to no part's peak."""
    from timing import environment

    return environment() | {"seed": SEED}


@click.command(help=__doc__)
@click.option("--count", default=10**6, show_default=True, help="Candidates.")
@click.option("--processes", default=2, show_default=True, help="That fill shards side by side.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".trace"), show_default=True)
@click.option("--result", type=click.Path(path_type=Path), default=RESULT, show_default=True)
@click.option("--part", hidden=True)
def main(count: int, processes: int, folder: Path, result: Path, part: str | None) -> None:
    """Measure, or be one of the processes that do."""
    if part is not None:
        run_part(part)
        return
    from trace_retriever.io.files import write_json

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        about = pool.submit(measured_on).result()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="bulk-") as scratch:
        figures = measure(Path(scratch).resolve(), count, processes)
    write_json(result, about | figures)
    click.echo(f"written: {os.path.relpath(result)}")


if __name__ == "__main__":
    main()
