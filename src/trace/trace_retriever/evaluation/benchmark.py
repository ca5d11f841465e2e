"""A whole evaluation: every system on every pair and pool, its runs written, its queries recorded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from trace_retriever.config.evaluate import EvaluateConfig
from trace_retriever.errors import ConfigError
from trace_retriever.evaluation.blend import choose_blend
from trace_retriever.evaluation.budget import choose_route, cost_of, limit_of
from trace_retriever.evaluation.outcomes import outcomes
from trace_retriever.evaluation.runs import write_run
from trace_retriever.evaluation.scoring import records, retrieve, run_lines
from trace_retriever.evaluation.systems import Blend, Chosen, Routing, available, reasons
from trace_retriever.evaluation.tasks import Pool, Task, load_pool, load_task, match
from trace_retriever.io.progress import bar
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.store.embeddings import Embeddings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Outcome:
    """What an evaluation found.

    Attributes:
        queries: one row per system, pool and query; see `scoring.records`.
        pairs: name → true_route, queries, pool_size, reachability, headline_k.
        blend, budget: how the blend and the route's threshold were chosen; None where they could not be.
        calibration: what the queries that chose the threshold gain by their traces; see `outcomes.outcomes`.
    """

    queries: "pd.DataFrame"
    pairs: dict[str, dict[str, Any]]
    blend: dict[str, Any] | None
    budget: dict[str, Any] | None
    calibration: "pd.DataFrame | None"


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
        """Choose blend and threshold, then score every system.

        Raises:
            ConfigError: the route's budget is below what a query costs without any trace.
            DataError: vectors are missing, pools are empty, or the baseline has other queries.
        """
        import pandas as pd

        blend, blend_choice = self._choose_blend()
        calibration = self._calibration()
        routing, route_choice = self._choose_route(calibration)
        chosen = Chosen(blend, routing)
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
                        frames += self._score(model, task, pool, chosen)
                shown.update(1)
        queries = pd.concat(frames, ignore_index=True)
        return Outcome(queries, pairs, blend_choice, route_choice, calibration)

    def _models(self) -> Iterator[tuple[str, Embeddings]]:
        yield "trace", self.embeddings
        if self.baseline is not None:
            yield "encoder", self.baseline

    def _score(self, model: str, task: Task, pool: Pool, chosen: Chosen) -> Iterator["pd.DataFrame"]:
        systems = ["encoder"]
        if model == "trace":
            systems = available(self.embeddings, truth=task.truths is not None, chosen=chosen)
        for system in systems:
            reasoning = reasons(system, task.table, task.true_complex, chosen.routing)
            found = retrieve(system, task, pool, reasoning, depth=self.config.depth, blend=chosen.blend)
            folder = self.runs / system / ("global" if pool.name == "global" else "")
            write_run(folder / f"{task.pair.name}.trec", run_lines(task, pool, found, system))
            yield records(system, task, pool, reasoning, found)

    def _choose_blend(self) -> tuple[Blend | None, dict[str, Any] | None]:
        tasks = list(self._choosing()) if "auto" in self.embeddings.about["reasons"] else []
        if not tasks:
            return None, None
        blend, choice = choose_blend(self._loaded(pair) for pair in tasks)
        return blend, {"split": self.config.blend_split, **choice}

    def _calibration(self) -> "pd.DataFrame | None":
        """What the queries of the choosing split gain by their traces, all of which were written."""
        import pandas as pd

        pairs = list(self._choosing()) if "always" in self.embeddings.about["reasons"] else []
        frames = []
        for task, pool in map(self._loaded, pairs):
            for system in ("never", "always"):
                reasoning = reasons(system, task.table, task.true_complex)
                found = retrieve(system, task, pool, reasoning, depth=self.config.depth)
                frames.append(records(system, task, pool, reasoning, found))
        return outcomes(pd.concat(frames, ignore_index=True)) if frames else None

    def _choose_route(
        self, calibration: "pd.DataFrame | None"
    ) -> tuple[Routing | None, dict[str, Any] | None]:
        if calibration is None:
            return None, None
        cost, limit = cost_of(self.config.route_budget), limit_of(self.config.route_budget)
        routing, choice = choose_route(calibration, cost, limit)
        return routing, {"split": self.config.blend_split, **choice}

    def _choosing(self) -> Iterator[Pair]:
        """The pairs with queries on the split that chooses."""
        embedded = self.embeddings.pairs(self.config.blend_split)
        return (pair for pair in self.pairs if pair.name in embedded)

    def _loaded(self, pair: Pair) -> tuple[Task, Pool]:
        split = self.config.blend_split
        task = load_task(self.layout, self.embeddings, pair, split)
        return task, self._local_pool(self.embeddings, pair, split)

    def _local_pool(self, embeddings: Embeddings, pair: Pair, split: Split) -> Pool:
        return load_pool(embeddings, "local", (candidate.did for candidate in self.layout.pool(pair, split)))

    def _global_pool(self, embeddings: Embeddings) -> list[Pool]:
        if not self.config.global_pool:
            return []
        dids = (candidate.did for candidate in self.layout.global_pool(self.config.split))
        return [load_pool(embeddings, "global", dids)]


def _describe(task: Task, pool: Pool) -> dict[str, Any]:
    """What `results.json` says of a pair, whatever the system."""
    positives = sum(len(good) for good in task.positives)
    complex_ = task.true_complex
    needs_reasoning = task.pair.is_complex if complex_ is None else complex_.mean() > 0.5
    return {
        "true_route": "complex" if needs_reasoning else "simple",
        "queries": len(task.table),
        "pool_size": len(pool),
        "reachability": int(pool.reachable(task.positives).sum()) / positives,
        "headline_k": task.pair.headline_k,
    }
