"""A version's evidence, read from its package and held against the digests that the registry noted."""

import json
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from trace_retriever.cards.curves import Curve, read_curves
from trace_retriever.cards.manifest import EVIDENCE, MANIFEST, file_digests
from trace_retriever.errors import DataError
from trace_retriever.evaluation.samples import PICTURES, RECORDS, Sample
from trace_retriever.io.files import digest_bytes, digest_file, read_json
from trace_retriever.io.jsonl import read_jsonl
from trace_retriever.registry.types import Version

if TYPE_CHECKING:
    import pandas as pd

CARD = "MODEL_CARD.md"
PICTURE_NAME = re.compile(r"[0-9a-f]{32}\.png")
MAX_PICTURE_BYTES, MAX_CARD = 1_000_000, 200_000


class EvidenceChanged(DataError):
    """The package is not what was registered: what a reviewer would see is not what an approval covers."""


@dataclass(frozen=True)
class Dossier:
    """What a reviewer sees of a version.

    Attributes:
        folder: the package.
        manifest: its content; its digest is the version's.
    """

    folder: Path
    manifest: dict[str, Any] = field(repr=False)

    @property
    def evidence(self) -> Path:
        """The directory of the evidence."""
        return self.folder / EVIDENCE

    @cached_property
    def verdict(self) -> dict[str, Any]:
        """The content of `verdict.json`."""
        return dict(read_json(self.evidence / "verdict.json"))

    @cached_property
    def validation(self) -> dict[str, Any]:
        """The content of `validation.json`."""
        return dict(read_json(self.evidence / "validation.json"))

    @cached_property
    def results(self) -> dict[str, Any]:
        """The content of `results.json`."""
        return dict(read_json(self.evidence / "results.json"))

    @property
    def system(self) -> str:
        """The system that the gate judged."""
        return str(self.verdict["policy"]["system"])

    @property
    def pool(self) -> str:
        """The kind of pool that the gate judged it on."""
        return str(self.verdict["policy"]["pool"])

    @cached_property
    def queries(self) -> "pd.DataFrame":
        """The records of the judged system and pool; `rank` is missing (NaN) where it was not noted."""
        import pandas as pd

        frame = pd.read_parquet(self.evidence / "queries.parquet")
        frame = frame[(frame["system"] == self.system) & (frame["pool"] == self.pool)]
        return frame.reindex(columns=[*dict.fromkeys([*frame.columns, "rank"])]).reset_index(drop=True)

    @cached_property
    def rows(self) -> dict[tuple[str, str], dict[Any, Any]]:
        """(pair, qid) → record."""
        return {(str(row["pair"]), str(row["qid"])): row for row in self.queries.to_dict("records")}

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """Qid → sample; empty where the package holds none."""
        path = self.evidence / RECORDS
        return {sample.qid: sample for sample in read_jsonl(path, Sample)} if path.is_file() else {}

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """Figure → curve of the training; empty where the package holds none."""
        return read_curves(self.evidence)

    @cached_property
    def card(self) -> str:
        """The model card as text."""
        text = (self.folder / CARD).read_text(encoding="utf-8", errors="replace")
        return text if len(text) <= MAX_CARD else text[:MAX_CARD] + "\n…"


class Dossiers:
    """Reads dossiers and keeps the last few, as long as their files stay as they are."""

    def __init__(self, kept: int = 8) -> None:
        self._kept, self._lock = kept, Lock()
        self._known: OrderedDict[str, tuple[int, Dossier]] = OrderedDict()

    def of(self, version: Version, *, afresh: bool = False) -> Dossier:
        """The dossier of a version, whose evidence is what the registry noted.

        Args:
            version: whose.
            afresh: hash every file of the evidence again, though none seems to have changed.

        Raises:
            EvidenceChanged: the package is not here, or its manifest, card or evidence is not what was
                registered.
        """
        folder = version.directory
        if folder is None:
            raise _elsewhere(version)
        key, stamp = version.digests["manifest"], _stamp(folder)
        with self._lock:
            known = self._known.get(key)
            if known is not None and known[0] == stamp and not afresh:
                self._known.move_to_end(key)
                return known[1]
        dossier = read_dossier(version, folder)
        with self._lock:
            self._known[key] = (stamp, dossier)
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return dossier


def read_dossier(version: Version, folder: Path) -> Dossier:
    """Check manifest, card and evidence by their digests; see `Dossiers.of` for the errors."""
    file = folder / MANIFEST
    try:
        if digest_file(file) != version.digests["manifest"]:
            raise _changed("its manifest")
        manifest = dict(read_json(file))
        found = {f"{EVIDENCE}/{name}": entry for name, entry in file_digests(folder / EVIDENCE).items()}
        found[CARD] = {"digest": digest_file(folder / CARD)}
    except OSError:
        raise _changed("a file of its package") from None
    listed = {name: entry for name, entry in manifest["files"].items() if name.startswith(f"{EVIDENCE}/")}
    listed[CARD] = manifest["files"].get(CARD, {})
    for name in sorted({*listed, *found}):
        if name not in listed or name not in found or listed[name].get("digest") != found[name]["digest"]:
            raise _changed(name)
    return Dossier(folder, manifest)


def picture(version: Version, name: str) -> bytes | None:
    """A picture of a version's samples; None where there is none of that name, or it is not as registered.

    Its own digest is compared with the manifest's, so that no other file has to be read for it.
    """
    folder = version.directory
    if folder is None or not PICTURE_NAME.fullmatch(name):
        return None
    listed = _listed(folder, version.digests["manifest"]).get(f"{EVIDENCE}/{PICTURES}/{name}")
    path = folder / EVIDENCE / PICTURES / name
    if listed is None or path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as stream:
        content = stream.read(MAX_PICTURE_BYTES + 1)
    whole = len(content) <= MAX_PICTURE_BYTES and digest_bytes(content) == listed
    return content if whole else None


@lru_cache(maxsize=16)
def _listed(folder: Path, digest: str) -> dict[str, str]:
    """Name → digest of a package's files, from its manifest, which has this digest."""
    content = (folder / MANIFEST).read_bytes()
    if digest_bytes(content) != digest:
        raise _changed("its manifest")
    return {name: entry["digest"] for name, entry in json.loads(content)["files"].items()}


def _elsewhere(version: Version) -> EvidenceChanged:
    """A package that is only an address: whoever decides on it fetches it, and compares it, themselves."""
    return EvidenceChanged(
        f"the package lies at {version.package} and not on this machine, so this page can neither show its "
        "evidence nor take a decision on it",
        remedy=f"fetch it to DIR, run `trace verify DIR --digest {version.digests['manifest']}`, read "
        "DIR/evidence, and decide with `trace registry approve` or `reject` and "
        f"`--evidence {version.digests['evidence']}`; or register it from a directory, without --uri",
    )


def _changed(what: str) -> EvidenceChanged:
    return EvidenceChanged(
        f"the package changed after it was registered: {what}",
        remedy="do not decide on it; register the model again",
    )


def _stamp(folder: Path) -> int:
    """Changes when a file of the evidence, the card or the manifest is written, added or removed."""
    parts = []
    for path in sorted([folder / MANIFEST, folder / CARD, *(folder / EVIDENCE).rglob("*")]):
        try:
            status = path.lstat()
        except OSError:
            continue
        parts.append((str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return hash(tuple(parts))
