"""`instructions/query_instructions.tsv`: the prompts that say what a query wants back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from trace_retriever.errors import DataError
from trace_retriever.io.files import write_atomic
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Modality

HEADER = (
    "query_modality",
    "cand_modality",
    "dataset_name",
    "dataset_id",
    *(f"prompt_{n}" for n in (1, 2, 3, 4)),
)
_PROMPTS_FROM = 4

Key = tuple[int, Modality, Modality]


@dataclass(frozen=True)
class Instructions:
    """Prompts by (data set id, query modality, candidate modality).

    Attributes:
        prompts: key → the prompts, four of them in M-BEIR.
        where: the file they came from, for messages.
    """

    prompts: Mapping[Key, tuple[str, ...]] = field(repr=False)
    where: Path | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the table.

        Raises:
            DataError: the file is missing or is not UTF-8, or a row has too few columns, an unknown modality,
                a data set id that is not a number, no prompt, or an earlier row's key; names file and line.
        """
        prompts: dict[Key, tuple[str, ...]] = {}
        for number, line in enumerate(_read_lines(path), start=1):
            if number == 1 or not line.strip():
                continue
            key, found = _parse_row(line, where=f"{path}:{number}")
            if key in prompts:
                raise DataError(
                    f"second row for {_name(key)}", where=f"{path}:{number}", remedy="keep one of them"
                )
            prompts[key] = found
        return cls(prompts, path)

    def of(self, pair: Pair) -> tuple[str, ...]:
        """All prompts of a pair; raises DataError when there are none."""
        key = (pair.dataset_id, pair.query_modality, pair.candidate_modality)
        if key not in self.prompts:
            raise DataError(
                f"no instruction for {pair.name} ({_name(key)})", where=self.where, remedy="add its row"
            )
        return self.prompts[key]

    def prompt(self, pair: Pair, index: int) -> str:
        """One prompt of a pair, counted from 0; raises DataError when there is none with this index."""
        found = self.of(pair)
        if not 0 <= index < len(found):
            raise DataError(
                f"{pair.name} has {len(found)} prompts; none has index {index}",
                where=self.where,
                remedy=f"set the prompt index to 0..{len(found) - 1}",
            )
        return found[index]


def write_instructions(path: Path, prompts: Mapping[Pair, Sequence[str]]) -> None:
    """Write the table atomically, rows ordered by data set and task.

    Raises:
        DataError: a pair has no prompt, or one with a tab or a line break; or two pairs share a row's key.
    """
    rows: dict[Key, Iterable[str]] = {}
    for pair in sorted(prompts, key=lambda pair: (pair.dataset_id, pair.task)):
        texts = prompts[pair]
        if not texts or any(not text.strip() or set(text) & set("\t\r\n") for text in texts):
            raise DataError(
                f"prompts of {pair.name} must be non-empty lines without tabs (got {list(texts)!r})"
            )
        key = (pair.dataset_id, pair.query_modality, pair.candidate_modality)
        rows[key] = (pair.query_modality, pair.candidate_modality, pair.dataset, str(pair.dataset_id), *texts)
    write_atomic(path, "".join("\t".join(row) + "\n" for row in (HEADER, *rows.values())))


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise DataError(
            "file not found", where=path, remedy="restore the instructions of the data set"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: {error}", where=path) from None


def _parse_row(line: str, *, where: str) -> tuple[Key, tuple[str, ...]]:
    cells = [cell.strip() for cell in line.split("\t")]
    if len(cells) <= _PROMPTS_FROM:
        raise DataError(f"a row has {len(HEADER)} columns separated by tabs (got {len(cells)})", where=where)
    prompts = tuple(filter(None, cells[_PROMPTS_FROM:]))
    if not prompts:
        raise DataError("a row without any prompt", where=where)
    try:
        return (int(cells[3]), Modality(cells[0]), Modality(cells[1])), prompts
    except ValueError as error:
        raise DataError(f"bad modality or data set id: {error}", where=where) from None


def _name(key: Key) -> str:
    return f"data set {key[0]}, {key[1].value} to {key[2].value}"
