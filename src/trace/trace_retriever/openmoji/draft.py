"""The records of one pair in the making: candidates without repeats, queries, and the truth behind them."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Candidate, Modality, Query, Truth
from trace_retriever.openmoji.album import Album
from trace_retriever.openmoji.scenes import Scene, Split


@dataclass
class Ids:
    """The next free number of each data set's queries and candidates, over all its pairs and splits."""

    queries: Counter[int] = field(default_factory=Counter)
    candidates: Counter[int] = field(default_factory=Counter)

    def query(self, pair: Pair) -> str:
        """A new qid."""
        self.queries[pair.dataset_id] += 1
        return f"{pair.dataset_id}:{self.queries[pair.dataset_id]}"

    def candidate(self, pair: Pair) -> str:
        """A new did."""
        self.candidates[pair.dataset_id] += 1
        return f"{pair.dataset_id}:{self.candidates[pair.dataset_id]}"


@dataclass
class Draft:
    """Queries and candidates of one pair in one split."""

    pair: Pair
    split: Split
    album: Album
    ids: Ids
    queries: list[Query] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)
    candidates: dict[tuple[str | None, str | None], Candidate] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)

    def candidate(self, text: str | None = None, scene: Scene | None = None, *, page: bool = False) -> str:
        """The did of a candidate of these words, this scene, or both; made when first asked for.

        Args:
            text: its words.
            scene: what its picture shows.
            page: whether the picture is of the shared knowledge base, and so counts as no split's scene.
        """
        key = (text, scene.caption if scene else None)
        if key not in self.candidates:
            did = self.ids.candidate(self.pair)
            self.candidates[key] = Candidate(
                did=did,
                txt=text,
                img_path=self.album.picture(scene, self.split, "candidate") if scene else None,
                modality=self.pair.candidate_modality,
                src_content=None if page else _source(scene),
            )
            self.descriptions[did] = " ; ".join(part for part in (key[1], text) if part)
        return self.candidates[key].did

    def ask(
        self,
        text: str | None,
        scene: Scene | None,
        positive: str,
        *,
        negatives: Sequence[str] = (),
        trace: tuple[str, str] | None = None,
        held_out: Sequence[str] = (),
    ) -> None:
        """Add a query.

        Args:
            text: its words.
            scene: what its picture shows.
            positive: did of what it has to find.
            negatives: dids that are hard to tell from it.
            trace: true reasoning and answer; None for a simple query.
            held_out: what of it training never shows.
        """
        qid = self.ids.query(self.pair)
        reasoning, answer = trace or ("", "")
        self.queries.append(
            Query(
                qid=qid,
                query_txt=text,
                query_img_path=self.album.picture(scene, self.split, "query") if scene else None,
                query_modality=_modality(text, scene),
                query_src_content=_source(scene),
                pos_cand_list=[positive],
                neg_cand_list=sorted(set(negatives) - {positive}) if self.split == "train" else [],
                task_id=self.pair.task,
            )
        )
        self.truths.append(
            Truth(
                qid=qid,
                pair=self.pair.name,
                route="complex" if trace else "simple",
                reasoning=reasoning,
                answer=answer,
                held_out=sorted(set(held_out)),
            )
        )


def _source(scene: Scene | None) -> str | None:
    """What validation compares splits by; no step shows it to a model."""
    return json.dumps({"scene": scene.caption}) if scene else None


def _modality(text: str | None, scene: Scene | None) -> Modality:
    if scene is None:
        return Modality.TEXT
    return Modality.IMAGE if text is None else Modality.BOTH
