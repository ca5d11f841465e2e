"""Bulk work without a model: vectors are made from words, and every item that is encoded is written down."""

import hashlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tests.evaluation.colours import SPLITS

from trace_retriever.bulk.dataset import collect_candidates, collect_queries
from trace_retriever.bulk.filling import Encoder, Filling
from trace_retriever.bulk.keys import Keys
from trace_retriever.bulk.tasks import CandidateTask, QueryTask, Task
from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.io.files import write_json
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.items import Item
from trace_retriever.model.pictures import PatchSpec, PictureReader
from trace_retriever.store.embeddings import ABOUT
from trace_retriever.store.previous import Kind, Previous

DIM = 8
SPEC = PatchSpec(
    patch_size=8,
    merge_size=2,
    temporal_patch_size=2,
    mean=(0, 0, 0),
    std=(1, 1, 1),
    min_pixels=16,
    max_pixels=4096,
)


def task(root: Path, kind: Kind, way: str = "way") -> Task:
    layout, keys = Layout(root), Keys(way, PictureReader(SPEC), 1)
    if kind == "candidates":
        return CandidateTask(layout, collect_candidates(layout, SPLITS, (), global_pool=True), keys)
    records, files = collect_queries(layout, SPLITS, ())
    return QueryTask(layout, records, files, keys, 0, "always")


def filling(
    root: Path,
    work: Path,
    kind: Kind,
    *,
    previous: Path | None = None,
    part: tuple[int, int] = (0, 1),
    way: str = "way",
) -> Filling:
    return Filling(
        task=task(root, kind, way),
        work=work / kind,
        previous=Previous.open(previous, kind),
        dim=DIM,
        dtype=np.dtype(np.float16),
        shard_rows=8,
        unit=3,
        part=part,
    )


def name_of(item: Item) -> str:
    return f"{item.text} {item.image.name if isinstance(item.image, Path) else None}"


def encoder(log: Path) -> Encoder:
    """Vectors depend on the item and, in the last bits, on its company, as a model's do."""

    def encode(items: Sequence[Item], reason: Reason) -> Iterator[Encoded]:
        company = hashlib.sha256(repr([name_of(item) for item in items]).encode()).digest()
        for item in items:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a") as stream:
                stream.write(f"{os.getpid()} {name_of(item)}\n")
            seed = hashlib.sha256(name_of(item).encode()).digest()
            vector = np.frombuffer(seed[:DIM], np.uint8).astype(np.float32) / np.float32(255)
            vector += np.float32(company[0]) * np.float32(4e-6)
            trace = "" if reason == "never" else f"step : {item.text}"
            yield Encoded(
                direct=vector,
                reasoned=vector + np.float32(bool(trace)),
                route="complex",
                p_emb=0.25,
                trace=trace,
                trace_ids=tuple(range(len(trace))),
                confidence=-0.5,
                min_logprob=-1.0,
            )

    return encode


def fill(
    root: Path,
    work: Path,
    out: Path,
    *,
    previous: Path | None = None,
    part: tuple[int, int] = (0, 1),
    way: str = "way",
) -> list[Filling]:
    """Both kinds, to the end; `log_of(out)` tells what was encoded."""
    done = []
    for kind in ("candidates", "queries"):
        made = filling(root, work, kind, previous=previous, part=part, way=way)
        made.run(encoder(log_of(out)), kind)
        made.finish()
        made.publish(out / kind)
        done.append(made)
    write_json(out / ABOUT, {"dim": DIM})
    return done


def log_of(out: Path) -> Path:
    """Where `fill` writes down what it encodes."""
    return out.with_name(f"{out.name}.log")


def encoded(out: Path) -> list[str]:
    """What was encoded for `out`, in order."""
    log = log_of(out)
    return [line.partition(" ")[2] for line in log.read_text().splitlines()] if log.exists() else []


def die_at(event: int, root: Path, folder: Path) -> None:
    """Fill, and be killed at the n-th thing that is done to files below a directory."""
    seen = 0

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if name in ("open", "os.rename", "os.remove", "os.link", "os.mkdir") and str(folder) in str(
            arguments[0]
        ):
            seen += not str(arguments[0]).endswith("log")
            if seen == event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    fill(root, folder / "work", folder / "out")
