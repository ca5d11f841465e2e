"""Exact search against FAISS flat and a NumPy loop, and indices for serving against exact search.

    python benchmarks/search.py                # benchmarks/results/search.json and docs/search.svg
    python benchmarks/search.py --quick        # the same, small: pools to 10^5, into .trace/search

Each part runs in a process of its own, with its own number of threads; what is compared runs in turns within
one process. Vectors are made from a seed: in `scaling` and `memory` they have random directions, in `serving`
they lie in clusters, since lists are of no use without.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from timing import Results, environment, spread

from trace_retriever.io.files import digest_bytes, read_json
from trace_retriever.store.matrix import Vectors

DIM, K, SEED = 256, 50, 0
BATCHES = (1, 32, 1000)
BLOCK = 65_536
TIE = 2e-6  # what FAISS's float32 sums of 256 products may differ by
KINDS = ("flat", "ivf-rabitq", "ivf-pq")
Search = Callable[[Vectors], tuple[NDArray[np.int64], Vectors]]


def directions(count: int, seed: int) -> Iterator[Vectors]:
    """Unit vectors in random directions, block by block."""
    for start in range(0, count, BLOCK):
        rng = np.random.default_rng((SEED, seed, start))
        yield _unit(rng.standard_normal((min(BLOCK, count - start), DIM), np.float32))


def clusters(count: int, seed: int) -> Iterator[Vectors]:
    """Unit vectors around 2,000 centres, at cosines of about 0.7 to them."""
    centres = _unit(np.random.default_rng(SEED).standard_normal((2000, DIM), np.float32))
    for start in range(0, count, BLOCK):
        rng = np.random.default_rng((SEED, seed, start, 1))
        size = min(BLOCK, count - start)
        noise = _unit(rng.standard_normal((size, DIM), np.float32))
        yield _unit(centres[rng.integers(0, len(centres), size)] + noise)


def _unit(vectors: Vectors) -> Vectors:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def whole(blocks: Iterator[Vectors]) -> Vectors:
    """Blocks as one array of float16 values in float32, so that all searches see the same numbers."""
    return np.concatenate([block.astype(np.float16).astype(np.float32) for block in blocks])


def numpy_search(pool: Vectors) -> Search:
    """The loop that many evaluation scripts have: all scores of some queries, then `argpartition`."""

    def search(queries: Vectors) -> tuple[NDArray[np.int64], Vectors]:
        rows, best = [], []
        for start in range(0, len(queries), 32):
            scores = queries[start : start + 32] @ pool.T
            chosen = np.argpartition(scores, -K, axis=1)[:, -K:]
            found = np.take_along_axis(scores, chosen, 1)
            order = np.argsort(-found, axis=1)
            rows.append(np.take_along_axis(chosen, order, 1))
            best.append(np.take_along_axis(found, order, 1))
        return np.concatenate(rows), np.concatenate(best)

    return search


def faiss_search(pool: Vectors) -> Search:
    """FAISS's flat index."""
    import faiss

    index = faiss.IndexFlatIP(DIM)
    index.add(pool)

    def search(queries: Vectors) -> tuple[NDArray[np.int64], Vectors]:
        scores, rows = index.search(queries, K)
        return rows, scores

    return search


def exact_search(pool: Any, **how: Any) -> Search:
    """Ours."""
    from trace_retriever.search.exact import ExactIndex

    index = ExactIndex(pool, **how)

    def search(queries: Vectors) -> tuple[NDArray[np.int64], Vectors]:
        found = index.search(queries, K)
        return found.rows, found.scores

    return search


def equal(one: Any, other: Any) -> dict[str, Any]:
    """Whether two results (rows and scores) are the same, up to what float32 sums cannot tell apart.

    They are if scores agree place by place, and a row that one side only has lies at the edge: its score is
    that of the last place.
    """
    (rows, scores), (rows2, scores2) = one, other
    off = float(np.abs(scores - scores2).max())
    inside = _inside(rows, scores, rows2) + _inside(rows2, scores2, rows)
    return {
        "same_places": float((rows == rows2).mean()),
        "largest_score_difference": off,
        "equal": off <= TIE and inside == 0,
    }


def _inside(rows: Any, scores: Any, others: Any) -> int:
    """How many rows the other side lacks although their scores are above the edge."""
    lacking = [~np.isin(mine, theirs) for mine, theirs in zip(rows, others, strict=True)]
    return int((np.array(lacking) & (scores > scores[:, -1:] + TIE)).sum())


def in_turns(
    searches: dict[str, Search], queries: Vectors, repeats: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Seconds of each search, one after another, again and again; and what each found."""
    times: dict[str, list[float]] = {name: [] for name in searches}
    found: dict[str, Any] = {}
    for turn in range(repeats + 1):
        for name, search in searches.items():
            if turn > 1 and name == "numpy" and times[name][0] > 5:
                continue  # a slow loop is not asked again
            started = time.perf_counter()
            found[name] = search(queries)
            if turn:  # the first turn warms up
                times[name].append(time.perf_counter() - started)
    return {name: spread(values) for name, values in times.items()}, found


def scaling(sizes: list[int], repeats: int, **_: Any) -> dict[str, Any]:
    """Queries a second by pool size and batch, all candidates in memory."""
    import torch

    from trace_retriever.search.margin import fast_precision

    lines = []
    for size in sizes:
        pool, asked = whole(directions(size, 1)), whole(directions(max(BATCHES), 2))
        searches = {
            "ours": exact_search(pool, keep=True),
            "streaming": exact_search(pool),
            "faiss": faiss_search(pool),
            "numpy": numpy_search(pool),
        }
        for batch in BATCHES:
            seconds, found = in_turns(searches, asked[:batch], repeats)
            lines.append(
                {
                    "candidates": size,
                    "queries": batch,
                    "seconds": seconds,
                    "gflop_per_s": _each(seconds, lambda value, n=size * batch: 2e-9 * n * DIM / value),
                    "queries_per_s": _each(seconds, lambda value, n=batch: n / value),
                    "times_faster_than_faiss": seconds["faiss"]["seconds"] / seconds["ours"]["seconds"],
                    "times_faster_than_numpy": seconds["numpy"]["seconds"] / seconds["ours"]["seconds"],
                    "against_faiss": equal(found["ours"], found["faiss"]),
                    "streaming_is_the_same": bool((found["ours"][0] == found["streaming"][0]).all()),
                }
            )
            click.echo(_line(lines[-1]), err=True)
    return {"threads": torch.get_num_threads(), "fast_type": fast_precision("cpu"), "k": K, "lines": lines}


def _each(seconds: dict[str, Any], figure: Callable[[float], float]) -> dict[str, float]:
    return {name: figure(value["seconds"]) for name, value in seconds.items()}


def _line(line: dict[str, Any]) -> str:
    return (
        f"{line['candidates']:>9,} x {line['queries']:<5,} {line['times_faster_than_faiss']:6.2f} x FAISS, "
        f"{line['times_faster_than_numpy']:6.2f} x NumPy, equal: {line['against_faiss']['equal']}"
    )


def memory(store: Path, method: str, **_: Any) -> dict[str, Any]:
    """Peak memory of a process that searches a sharded float16 matrix for 1,000 queries."""
    from trace_retriever.store.shards import ShardedMatrix

    asked, matrix = whole(directions(max(BATCHES), 2)), ShardedMatrix.open(store)
    before = _peak()
    if method in ("ours, streaming", "ours, kept"):
        search = exact_search(matrix, keep=method == "ours, kept", memory=5 * 2**28)
    else:
        pool = matrix[:].astype(np.float32)
        search = faiss_search(pool) if method == "faiss" else numpy_search(pool)
        if method == "faiss":
            del pool  # the index has its own
    started = time.perf_counter()
    rows, scores = search(asked)
    seconds = time.perf_counter() - started
    return {
        "peak_bytes": _peak(),
        "peak_bytes_before": before,
        "seconds": seconds,
        "rows": digest_bytes(rows.tobytes()),
        "lowest": float(scores[:, -1].min()),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def write_store(store: Path, size: int, **_: Any) -> dict[str, Any]:
    """Write a sharded float16 matrix, block by block."""
    from trace_retriever.store.filling import write_matrix

    started = time.perf_counter()
    matrix = write_matrix(store, directions(size, 1), shape=(size, DIM))
    return {"seconds": time.perf_counter() - started, "rows": len(matrix), "peak_bytes": _peak()}


def serving(size: int, kind: str, **_: Any) -> dict[str, Any]:
    """Recall, size and latency of an index for serving, beside exact search in the same process."""
    from trace_retriever.errors import Refused
    from trace_retriever.search.building import build
    from trace_retriever.search.exact import ExactIndex
    from trace_retriever.search.serving import Kind

    stored = np.concatenate([block.astype(np.float16) for block in clusters(size, 3)])
    asked = whole(clusters(400, 4))
    name: Kind = kind  # type: ignore[assignment]
    started = time.perf_counter()
    try:
        index = build(stored, asked, kind=name, model=digest_bytes(b""), embeddings=digest_bytes(b"made"))
    except Refused as error:
        return {"kind": kind, "refused": str(error), **error.metrics}
    seconds = time.perf_counter() - started
    exact = ExactIndex(stored, keep=True)
    times: dict[str, list[float]] = {kind: [], "exact": []}
    for turn, query in enumerate(asked[1::2]):
        for label, searched in ((kind, index), ("exact", exact)):
            began = time.perf_counter()
            searched.search(query[None], K)
            if turn > 2:
                times[label].append(time.perf_counter() - began)
    with tempfile.TemporaryDirectory() as folder:
        saved = index.save(Path(folder) / "index")
    return {
        **saved.model_dump(
            include={"kind", "lists", "probes", "width", "recall", "recall_k", "recall_queries"}
        ),
        "bytes_per_vector": saved.bytes / size,
        "build_seconds": seconds,
        "p50_ms": 1e3 * statistics.median(times[kind]),
        "p99_ms": 1e3 * float(np.quantile(times[kind], 0.99)),
        "exact_p50_ms": 1e3 * statistics.median(times["exact"]),
    }


PARTS = {"scaling": scaling, "memory": memory, "store": write_store, "serving": serving}


def in_process(part: str, *, threads: int = 1, **arguments: Any) -> dict[str, Any]:
    """Run a part in a process of its own with so many threads."""
    count = str(threads)
    environ = os.environ | {"OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count, "MKL_NUM_THREADS": count}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        asked = json.dumps({"part": part, "out": str(out), **arguments}, default=str)
        subprocess.run([sys.executable, __file__, "--part", asked], check=True, env=environ)
        figures: dict[str, Any] = read_json(out)
    return figures


def run_part(asked: str) -> None:
    """The other side of `in_process`."""
    arguments = json.loads(asked)
    part, out = PARTS[arguments.pop("part")], Path(arguments.pop("out"))
    if "store" in arguments:
        arguments["store"] = Path(arguments["store"])
    out.write_text(json.dumps(part(**arguments)))


def draw(sections: dict[str, Any], path: Path) -> None:
    """Ratios to FAISS by pool size and batch, and peak memory."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "search", "svg.fonttype": "none", "font.size": 9})
    drawing = Figure(figsize=(9.5, 3.2), layout="constrained")
    left, right = drawing.subplots(1, 2, width_ratios=[3, 2])
    colours = dict(zip(BATCHES, ("#9aa3ad", "#4c78a8", "#e45756"), strict=True))
    for threads, dashes in (("1", "-"), ("2", "--")):
        lines = sections.get(f"scaling_{threads}", {}).get("lines", [])
        for batch in BATCHES:
            chosen = [line for line in lines if line["queries"] == batch]
            left.plot(
                [line["candidates"] for line in chosen],
                [line["times_faster_than_faiss"] for line in chosen],
                dashes,
                marker="o",
                markersize=4,
                color=colours[batch],
                label=f"{batch:,} queries, {threads} thread{'s' * (threads == '2')}",
            )
    left.axhline(1, color="#59616b", linewidth=1)
    left.set(xscale="log", yscale="log", xlabel="candidates", ylabel="times FAISS flat's speed")
    left.yaxis.set_major_formatter("{x:g}")
    left.legend(frameon=False, fontsize=7)
    found = sections.get("memory", {}).get("methods", {})
    names = list(reversed(found))
    right.barh(names, [found[name]["peak_bytes"] / 2**30 for name in names], color="#4c78a8")
    right.set_xlabel(f"peak memory of the process, GiB ({sections['memory']['candidates']:,} candidates)")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, metadata={"Date": None})


def measure(results: Results, sizes: list[int], repeats: int, parts: tuple[str, ...]) -> None:
    """All parts, written as they come."""
    if "scaling" in parts:
        for threads in (1, 2):
            figures = in_process("scaling", threads=threads, sizes=sizes, repeats=repeats)
            results.add(f"scaling_{threads}", figures)
    if "memory" in parts:
        work = Path(".trace/search")  # on a disk, which the usual place for such files may not be
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=work) as folder:
            store = Path(folder) / "store"
            written = in_process("store", store=store.resolve(), size=sizes[-1])
            methods = {
                method: in_process("memory", store=store.resolve(), method=method)
                for method in ("ours, streaming", "ours, kept", "faiss", "numpy")
            }
        results.add("memory", {"candidates": sizes[-1], "dim": DIM, "written": written, "methods": methods})
    if "serving" in parts:
        figures = {kind: in_process("serving", size=sizes[-1], kind=kind) for kind in KINDS}
        results.add("serving", {"candidates": sizes[-1], "dim": DIM, "k": K, "kinds": figures})


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Pools to 10^5, two repeats, into .trace/search.")
@click.option("--repeats", default=5, show_default=True, help="Of each search.")
@click.option("--only", multiple=True, type=click.Choice(["scaling", "memory", "serving"]))
@click.option("--part", hidden=True)
def main(quick: bool, repeats: int, only: tuple[str, ...], part: str | None) -> None:
    """Measure, or be one of the processes that do."""
    if part is not None:
        run_part(part)
        return
    sizes = [10**4, 10**5] if quick else [10**4, 10**5, 10**6]
    out = Path(".trace/search/search.json" if quick else "benchmarks/results/search.json")
    results = Results(out, {**environment(), "seed": SEED, "quick": quick})
    measure(results, sizes, 2 if quick else repeats, only or ("scaling", "memory", "serving"))
    if {"scaling_1", "memory"} <= results.sections.keys():
        draw(results.sections, out.with_suffix(".svg") if quick else Path("docs/search.svg"))
    click.echo(f"written: {out}")


if __name__ == "__main__":
    main()
