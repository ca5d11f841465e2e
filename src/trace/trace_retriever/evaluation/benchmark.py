"""A whole evaluation: every system on every pair and pool, its runs written, its queries recorded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from trace_retriever.config.evaluate import EvaluateConfig
from trace_retriever.errors import ConfigError
from trace_retriever.evaluation.blend import choose_blend
from trace_retriever.evaluation.runs import write_run
from trace_retriever.evaluation.scoring import records, retrieve, run_lines
from trace_retriever.evaluation.systems import Blend, available
from trace_retriever.evaluation.tasks import Pool, Task, load_pool, load_task, match
from trace_retriever.io.progress import bar
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.search.store import Embeddings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Outcome:
    """What an evaluation found.

    Attributes:
        queries: one row per system, pool and query; see `scoring.records`.
        pairs: name → true_route, queries, pool_size, reachability, headline_k.
        blend: how the blend was chosen; None where it could not be.
    """

    queries: "pd.DataFrame"
    pairs: dict[str, dict[str, Any]]
    blend: dict[str, Any] | None


class Benchmark:
    """The systems of one model, and a baseline's, on one split.

    Args:
        layout: the data set.
        embeddings: the model's vectors.
        baseline: an encoder-only model's vectors of the same queries and pools, or None.
        config: which split, pairs and pools, and how deep.
        runs: where run files go: `<system>/<pair>.trec`, the global pool's below `<system>/global`.
    """

    def __init__(
        self,
        layout: Layout,
        embeddings: Embeddings,
        baseline: Embeddings | None,
        *,
        config: EvaluateConfig,
        runs: Path,
    ) -> None:
        self.layout, self.embeddings, self.baseline = layout, embeddings, baseline
        self.config, self.runs = config, runs
        self.pairs = self._pairs()

    def _pairs(self) -> list[Pair]:
        embedded = self.embeddings.pairs(self.config.split)
        missing = sorted(set(self.config.pairs) - set(embedded))
        if missing or not embedded:
            raise ConfigError(
                f"no {self.config.split} queries of {missing[0] if missing else 'any pair'} were embedded",
                where=self.embeddings.directory,
                remedy="embed them first (embed.splits, embed.pairs)",
            )
        return [Pair.parse(name) for name in embedded if not self.config.pairs or name in self.config.pairs]

    def run(self) -> Outcome:
        """Choose the blend, then score every system.

        Raises:
            DataError: vectors are missing, pools are empty, or the baseline has other queries.
        """
        import pandas as pd

        blend, choice = self._choose_blend()
        frames: list[pd.DataFrame] = []
        pairs: dict[str, dict[str, Any]] = {}
        split = self.config.split
        union = {name: self._global_pool(found) for name, found in self._models()}
        shown: tqdm[Any] = bar("scoring", total=len(self.pairs), unit="pair")
        with shown:
            for pair in self.pairs:
                for model, found in self._models():
                    task = load_task(self.layout, self.embeddings, pair, split)
                    task = task if found is self.embeddings else match(task, found, split)
                    local = self._local_pool(found, pair, split)
                    if model == "trace":
                        pairs[pair.name] = _describe(task, local)
                    for pool in (local, *union[model]):
                        frames += self._score(model, task, pool, blend)
                shown.update(1)
        return Outcome(pd.concat(frames, ignore_index=True), pairs, choice)

    def _models(self) -> Iterator[tuple[str, Embeddings]]:
        yield "trace", self.embeddings
        if self.baseline is not None:
            yield "encoder", self.baseline

    def _score(self, model: str, task: Task, pool: Pool, blend: Blend | None) -> Iterator["pd.DataFrame"]:
        systems = ["encoder"]
        if model == "trace":
            systems = available(self.embeddings, truth=task.truths is not None, blend=blend is not None)
        for system in systems:
            found = retrieve(system, task, pool, depth=self.config.depth, blend=blend)
            folder = self.runs / system / ("global" if pool.name == "global" else "")
            write_run(folder / f"{task.pair.name}.trec", run_lines(task, pool, found, system))
            yield records(system, task, pool, found)

    def _choose_blend(self) -> tuple[Blend | None, dict[str, Any] | None]:
        split = self.config.blend_split
        names = [pair for pair in self.pairs if pair.name in self.embeddings.pairs(split)]
        if not names or "auto" not in self.embeddings.about["reasons"]:
            return None, None
        blend, choice = choose_blend(
            (
                load_task(self.layout, self.embeddings, pair, split),
                self._local_pool(self.embeddings, pair, split),
            )
            for pair in names
        )
        return blend, {"split": split, **choice}

    def _local_pool(self, embeddings: Embeddings, pair: Pair, split: Split) -> Pool:
        return load_pool(embeddings, "local", (candidate.did for candidate in self.layout.pool(pair, split)))

    def _global_pool(self, embeddings: Embeddings) -> list[Pool]:
        if not self.config.global_pool:
            return []
        dids = (candidate.did for candidate in self.layout.global_pool(self.config.split))
        return [load_pool(embeddings, "global", dids)]


def _describe(task: Task, pool: Pool) -> dict[str, Any]:
    """What `results.json` says of a pair, whatever the system."""
    dids = set(pool.dids.tolist())
    positives = sum(len(good) for good in task.positives)
    complex_ = task.true_complex
    needs_reasoning = task.pair.is_complex if complex_ is None else complex_.mean() > 0.5
    return {
        "true_route": "complex" if needs_reasoning else "simple",
        "queries": len(task.table),
        "pool_size": len(dids),
        "reachability": sum(len(good & dids) for good in task.positives) / positives,
        "headline_k": task.pair.headline_k,
    }
