"""Where an M-BEIR data set keeps what, and typed streams over it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trace_retriever.errors import DataError
from trace_retriever.mbeir.instructions import Instructions
from trace_retriever.mbeir.pairs import Pair, Split, sorted_pairs
from trace_retriever.mbeir.qrels import Qrels
from trace_retriever.mbeir.records import Candidate, Query, Truth
from trace_retriever.mbeir.streams import locate_queries, read_candidates, read_truths


@dataclass(frozen=True)
class Files:
    """Paths of a data set's files, whether they exist or not.

    M-BEIR's own checkout has one train file per *data set* (`mbeir_oven_train.jsonl`, tasks mixed); data sets
    written by this package have one per pair, as for val and test. Both are read.
    """

    root: Path

    def queries(self, pair: Pair, split: Split) -> Path:
        """The pair's own query file."""
        return self.root / "query" / split / f"mbeir_{pair.name}_{split}.jsonl"

    def dataset_queries(self, dataset: str) -> Path:
        """The train queries of a whole data set, as M-BEIR ships them."""
        return self.root / "query" / "train" / f"mbeir_{dataset}_train.jsonl"

    def union_queries(self, split: Split) -> Path:
        """All queries of a split, the smaller official data sets up-sampled in train."""
        name = "up_train" if split == "train" else split
        return self.root / "query" / f"union_{split}" / f"mbeir_union_{name}.jsonl"

    def pool(self, pair: Pair, split: Split | None) -> Path:
        """The pair's local pool: of one split (MSCOCO's val and test), or shared by the splits (None)."""
        part = f"_{split}" if split else ""
        return self.root / "cand_pool" / "local" / f"mbeir_{pair.name}{part}_cand_pool.jsonl"

    def global_pool(self, split: Split) -> Path:
        """The union of all local pools of a split."""
        return self.root / "cand_pool" / "global" / f"mbeir_union_{split}_cand_pool.jsonl"

    def qrels(self, pair: Pair, split: Split) -> Path:
        """The pair's own qrels."""
        return self.root / "qrels" / split / f"mbeir_{pair.name}_{split}_qrels.txt"

    def dataset_qrels(self, dataset: str) -> Path:
        """The train qrels of a whole data set, as M-BEIR ships them."""
        return self.root / "qrels" / "train" / f"mbeir_{dataset}_train_qrels.txt"

    @property
    def instructions(self) -> Path:
        """The table of prompts."""
        return self.root / "instructions" / "query_instructions.tsv"

    @property
    def images(self) -> Path:
        """The folder of pictures; records name them relative to the root, this folder included."""
        return self.root / "mbeir_images"

    def truth(self, split: Split) -> Path:
        """What a perfect reasoner would write (made benchmark only)."""
        return self.root / "truth" / f"{split}.jsonl"


class Layout:
    """Typed access to the M-BEIR data set at `root`; nothing is read before it is asked for.

    Raises:
        DataError: `root` is not a directory.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError("no data set here", where=root, remedy="run `trace prepare` first")
        self.root = root
        self.files = Files(root)

    @property
    def images(self) -> Path:
        """The directory that `img_path` and `query_img_path` are relative to."""
        return self.root

    @cached_property
    def instructions(self) -> Instructions:
        """The data set's prompts."""
        return Instructions.read(self.files.instructions)

    def pairs(self, split: Split) -> list[Pair]:
        """The pairs that have queries in a split, by task and then by data set id.

        A train file of a whole data set counts for those of its pairs that have a val or test file.

        Raises:
            DataError: a query file of a data set or task that is not known, or no query file at all.
        """
        found = self._own_pairs(split)
        if split == "train":
            evaluated = self._own_pairs("val") | self._own_pairs("test")
            found |= {pair for pair in evaluated if self.files.dataset_queries(pair.dataset).is_file()}
        if not found:
            where = self.root / "query" / split
            raise DataError(
                f"no {split} queries in this data set", where=where, remedy="run `trace prepare` again"
            )
        return sorted_pairs(found)

    def _own_pairs(self, split: Split) -> set[Pair]:
        files = (self.root / "query" / split).glob(f"mbeir_*_task*_{split}.jsonl")
        return {Pair.parse(file.stem.removeprefix("mbeir_").removesuffix(f"_{split}")) for file in files}

    def queries(self, pair: Pair, split: Split) -> Iterator[Query]:
        """A pair's queries, streaming, in file order.

        Raises:
            DataError: the file is missing or empty, a line breaks the schema, or two lines have one qid;
                names file and line(s).
        """
        return (query for _, query in self.located_queries(pair, split))

    def located_queries(self, pair: Pair, split: Split) -> Iterator[tuple[int, Query]]:
        """As `queries`, each with the byte of `query_path` that its line begins at."""
        path = self.query_path(pair, split)
        mixed = path != self.files.queries(pair, split)
        return (found for found in locate_queries(path) if not mixed or found[1].task_id == pair.task)

    def query_path(self, pair: Pair, split: Split) -> Path:
        """The file of a pair's queries: its own or, in train where it has none, its data set's."""
        own, mixed = self.files.queries(pair, split), self.files.dataset_queries(pair.dataset)
        return mixed if split == "train" and not own.exists() and mixed.exists() else own

    def pool(self, pair: Pair, split: Split) -> Iterator[Candidate]:
        """A pair's local pool for a split, streaming, in file order.

        The file of the split if there is one, else the one that the splits share. Where train has neither
        (MSCOCO), its candidates lie in the global train pool alone: those of the pair's
        data set and modality.

        Raises:
            DataError: no such file, an empty pool, a line that breaks the schema, or two lines with one did.
        """
        path = self.pool_path(pair, split)
        if path == self.files.global_pool("train"):
            prefix = f"{pair.dataset_id}:"
            for candidate in self.global_pool("train"):
                if candidate.did.startswith(prefix) and candidate.modality == pair.candidate_modality:
                    yield candidate
        else:
            yield from read_candidates(path)

    def pool_path(self, pair: Pair, split: Split) -> Path:
        """The file that holds a pair's pool for a split; see `pool`.

        Raises:
            DataError: none of the possible files exists; names them.
        """
        possible = [self.files.pool(pair, split), self.files.pool(pair, None)]
        if split == "train":
            possible.append(self.files.global_pool("train"))
        for path in possible:
            if path.is_file():
                return path
        names = " or ".join(path.name for path in possible)
        raise DataError(f"no {split} pool for {pair.name}: {names} not found", where=possible[0].parent)

    def global_pool(self, split: Split) -> Iterator[Candidate]:
        """The union of all pairs' pools of a split, streaming; raises as `pool`."""
        yield from read_candidates(self.files.global_pool(split))

    def lookup(self, dids: Collection[str], split: Split) -> dict[str, Candidate]:
        """Some candidates of a split's global pool by did, those that it does not hold left out."""
        return {candidate.did: candidate for candidate in self.global_pool(split) if candidate.did in dids}

    def qrels(self, pair: Pair, split: Split) -> Qrels:
        """A pair's relevance judgements; see `Qrels.read` for the errors."""
        own, mixed = self.files.qrels(pair, split), self.files.dataset_qrels(pair.dataset)
        if split == "train" and not own.exists() and mixed.exists():
            return Qrels.read(mixed, task=pair.task)
        return Qrels.read(own)

    def truth(self, split: Split) -> dict[str, Truth] | None:
        """The true traces of a split by qid; None where the data set has none, as all but made ones."""
        if not (self.root / "truth").is_dir():
            return None
        return {truth.qid: truth for truth in read_truths(self.files.truth(split))}
