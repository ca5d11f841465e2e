"""An M-BEIR checkout that is already on disk: is it complete, are its records sound, and links to it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from trace_retriever.config.prepare import MbeirSource
from trace_retriever.errors import ConfigError, DataError, ImageError
from trace_retriever.io.images import load_image
from trace_retriever.mbeir.layout import Files, Layout
from trace_retriever.mbeir.pairs import OFFICIAL_PAIRS, SPLITS, Pair, Split
from trace_retriever.mbeir.qrels import Qrels
from trace_retriever.mbeir.streams import read_candidates
from trace_retriever.mbeir.writer import check_belongs

_LFS_POINTER = b"version https://git-lfs"
_REMEDY = (
    "fetch them from the data set TIGER-Lab/M-BEIR into the checkout (git lfs pull; unpack the pictures "
    "from mbeir_images.tar.gz.part-*), or name fewer pairs in prepare.mbeir.pairs"
)


@dataclass(frozen=True)
class Needed:
    """A file that the selected pairs need: its possible paths, what it is for, how much it holds."""

    paths: tuple[Path, ...]
    role: str
    size: str

    def found(self) -> Path | None:
        """The first of the paths that is there in full (a Git LFS pointer is not)."""
        return next((path for path in self.paths if path.exists() and not _is_pointer(path)), None)

    def describe(self, root: Path) -> str:
        """One line for the list of what is missing."""
        names = " or ".join(path.relative_to(root).as_posix() for path in self.paths)
        pointer = " [only its Git LFS pointer is here]" if any(map(_is_pointer, self.paths)) else ""
        return f"{names}: {self.role}, {self.size}{pointer}"


def link_checkout(source: MbeirSource, out: Path) -> None:
    """Link the selected pairs' files of an M-BEIR checkout into `out`, when all are there and sound.

    Args:
        source: where the checkout is and which pairs to take.
        out: an existing directory.

    Raises:
        ConfigError: no path is set.
        DataError: the path is no directory; or files are missing, all of them listed in one message, each
            with its role and expected size; or one of the first records of a file is malformed.
        ImageError: a picture of those records is missing or broken.
    """
    if source.path is None:
        raise ConfigError(
            "the source `mbeir` needs a path", where="prepare.mbeir.path", remedy="set it in params.yaml"
        )
    root = Path(source.path).resolve()
    if not root.is_dir():
        raise DataError("no M-BEIR checkout here", where=root, remedy="correct prepare.mbeir.path")
    pairs = [Pair.parse(name) for name in source.pairs] or list(OFFICIAL_PAIRS)
    found = _require(list(needed_files(Files(root), pairs)), root)
    for path in found:
        link = out / path.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path, target_is_directory=path.is_dir())
    check_samples(Layout(out), pairs, source.sample_records)


def needed_files(files: Files, pairs: Sequence[Pair]) -> Iterator[Needed]:
    """What a checkout must hold for some pairs."""
    for pair in pairs:
        for split in SPLITS:
            yield from _needed_of_pair(files, pair, split)
    for split in SPLITS:
        size = "about 5.6 million candidates" if split == "test" else f"the candidates of all {split} queries"
        yield Needed((files.global_pool(split),), f"global {split} pool", size)
    yield Needed((files.instructions,), "prompts of the queries", "four prompts for each pair")
    yield Needed((files.images,), "folder of pictures", "JPEG files, short side 256 pixels")


def _needed_of_pair(files: Files, pair: Pair, split: Split) -> Iterator[Needed]:
    whole = split == "train"  # M-BEIR ships one train file per data set
    queries = (files.queries(pair, split), *([files.dataset_queries(pair.dataset)] if whole else []))
    qrels = (files.qrels(pair, split), *([files.dataset_qrels(pair.dataset)] if whole else []))
    known = OFFICIAL_PAIRS.get(pair)
    count = f"about {getattr(known, split):,} queries" if known else "at least one query"
    yield Needed(queries, f"{split} queries of {pair.name}", count)
    yield Needed(qrels, f"{split} relevance judgements of {pair.name}", f"those of {count}")
    if not whole:
        pools = (files.pool(pair, split), *([] if pair.has_split_pools else [files.pool(pair, None)]))
        size = f"about {known.pool:,} candidates" if known else "at least one candidate"
        yield Needed(pools, f"local {split} pool of {pair.name}", size)


def _require(needed: Sequence[Needed], root: Path) -> list[Path]:
    found = [(item, item.found()) for item in needed]
    missing = [item.describe(root) for item, path in found if path is None]
    if missing:
        listing = "".join(f"\n  - {line}" for line in dict.fromkeys(missing))
        raise DataError(
            f"the M-BEIR checkout lacks files for {len(missing)} purposes:{listing}",
            where=root,
            remedy=_REMEDY,
        )
    return list(dict.fromkeys(path for _, path in found if path is not None))


def _is_pointer(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > 1024:
        return False
    with path.open("rb") as stream:
        return stream.read(len(_LFS_POINTER)) == _LFS_POINTER


def check_samples(layout: Layout, pairs: Iterable[Pair], records: int) -> None:
    """Check the first records of each file: their schema, that they belong to their pair, that pictures open.

    Raises:
        DataError, ImageError: naming the file or record.
    """
    for pair in pairs:
        layout.instructions.of(pair)
        for split in SPLITS:
            for query in islice(layout.queries(pair, split), records):
                check_belongs(query, pair, where=layout.files.queries(pair, split))
                _check_picture(layout, query.query_img_path, query.qid)
        _check_qrels(layout, pair, records)
        splits: tuple[Split, ...] = ("val", "test")
        for path in {layout.pool_path(pair, split): None for split in splits}:
            _check_pool(layout, path, records)
    for split in SPLITS:
        _check_pool(layout, layout.files.global_pool(split), records)


def _check_qrels(layout: Layout, pair: Pair, records: int) -> None:
    for split in SPLITS:
        own = layout.files.qrels(pair, split)
        path = own if own.exists() else layout.files.dataset_qrels(pair.dataset)
        if not Qrels.read(path, rows=records).relevance:
            raise DataError(f"no positive judgement in its first {records} rows", where=path)


def _check_pool(layout: Layout, path: Path, records: int) -> None:
    for candidate in islice(read_candidates(path), records):
        _check_picture(layout, candidate.img_path, candidate.did)


def _check_picture(layout: Layout, name: str | None, record: str) -> None:
    if name is None:
        return
    try:
        load_image(layout.images, name)
    except ImageError as error:
        raise ImageError(
            f"record {record}: {error.problem}", where=error.where, remedy=error.remedy
        ) from None
