"""What is measured of the engine, section by section, each with its systems interleaved."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peers.generating import direct, generate_then_reencode, one_by_one, static_batches
from peers.inputs import Output, prepare
from timing import Clock, spread
from workload import Asked, mix, read_pools, recall

from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.engine.engine import Engine
from trace_retriever.model.batch import Row, collate
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import hidden_states, last_states, normalise

MIXES: dict[str, float | None] = {"natural": None, "half": 0.54, "complex": 1.0}
SLOTS = (16, 32, 64, 128, 256)
SEED = 1
Run = Callable[[], Any]


@dataclass(frozen=True)
class Bench:
    """What all sections share.

    Attributes:
        model: trained, so that traces have their natural lengths.
        queries: all test queries.
        dataset: where they are from.
        count: queries of a mix.
        repeats: of each system.
    """

    model: TraceModel
    queries: list[Asked]
    dataset: Path
    count: int
    repeats: int

    def interleaved(
        self, systems: dict[str, Run], rare: Sequence[str] = ()
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Time each system once a repeat, after one run of each that is not counted.

        Args:
            systems: name → what to run.
            rare: slow ones, whose warm-up is what the others' did, and which run half as often.

        Returns:
            Seconds (median, min, max, repeats), and what each system gave the last time.
        """
        clock = Clock(self.model.device)
        outputs = {name: run() for name, run in systems.items() if name not in rare}
        seconds: dict[str, list[float]] = {name: [] for name in systems}

        def keep(name: str) -> None:
            outputs[name] = systems[name]()

        for repeat in range(self.repeats):
            for name in systems:
                if name not in rare or repeat % 2 == 0:
                    seconds[name].append(clock.once(lambda name=name: keep(name)))  # type: ignore[misc]
        return {name: spread(found) for name, found in seconds.items()}, outputs

    def ours(
        self, asked: Sequence[Asked], reason: Reason, slots: int = 64, **options: Any
    ) -> tuple[Engine, list[Encoded]]:
        """A fresh engine's answer: nothing is warm."""
        engine = Engine(self.model, slots=slots, **options)
        return engine, list(engine.encode([one.item for one in asked], reason=reason))

    def peers(self, asked: Sequence[Asked]) -> dict[str, Callable[[], Output]]:
        """The published loops over the queries."""
        items, limit, model = [one.item for one in asked], self.model.settings.max_trace_tokens, self.model
        return {
            "generate_then_reencode_32": lambda: generate_then_reencode(
                model, prepare(model, items, 32, left=True), limit
            ),
            "static_batch_32": lambda: static_batches(model, prepare(model, items, 32, left=True), limit),
            "static_batch_4": lambda: static_batches(model, prepare(model, items, 4, left=True), limit),
            "one_by_one": lambda: one_by_one(model, prepare(model, items, 1, left=True), limit),
        }


def peers_section(bench: Bench) -> dict[str, Any]:
    """Ours against the published loops, in each mix of queries."""
    return {name: _one_mix(bench, share) for name, share in MIXES.items()}


def _one_mix(bench: Bench, share: float | None) -> dict[str, Any]:
    asked = mix(bench.queries, share, bench.count, SEED)
    systems: dict[str, Run] = {
        f"slots_{slots}": lambda slots=slots: bench.ours(asked, "auto", slots) for slots in (32, 64, 128)
    }
    systems |= bench.peers(asked)
    seconds, outputs = bench.interleaved(systems, rare=("static_batch_4", "one_by_one"))
    _, reference = outputs["slots_64"]
    vectors = np.stack([one.vector("auto") for one in reference])
    found = {}
    for name, output in outputs.items():
        if isinstance(output, Output):
            difference = float(np.abs(output.vectors - vectors).max())
            cost, traces = output.cost.record(), output.traces
        else:
            engine, encoded = output
            difference = float(np.abs(np.stack([one.vector("auto") for one in encoded]) - vectors).max())
            cost, traces = asdict(engine.counters), [one.trace_ids for one in encoded]
        found[name] = {
            **seconds[name],
            "queries_per_second": len(asked) / seconds[name]["seconds"],
            "largest_difference": difference,
            "same_traces": [tuple(trace) for trace in traces] == [one.trace_ids for one in reference],
            "cost": cost,
        }
    return {
        "queries": len(asked),
        "complex": sum(one.complex for one in asked),
        "trace_tokens": sum(one.trace_tokens for one in reference),
        "systems": found,
    }


def direct_section(bench: Bench) -> dict[str, Any]:
    """Queries that are routed simple: what the route costs, beside plain forwards and VLM2Vec's loop."""
    drawn = mix(bench.queries, 0.0, 2 * bench.count, SEED)
    routed = bench.ours(drawn, "never")[1]
    simple = [asked for asked, one in zip(drawn, routed, strict=True) if one.route == "simple"]
    items = [one.item for one in simple]
    systems: dict[str, Run] = {
        "auto": lambda: bench.ours(simple, "auto"),
        "never": lambda: bench.ours(simple, "never"),
        "plain_forward": lambda: _plain(bench.model, simple),
        "vlm2vec_32": lambda: direct(bench.model, prepare(bench.model, items, 32, left=False)),
    }
    seconds, outputs = bench.interleaved(systems)
    engine, encoded = outputs["auto"]
    vectors = np.stack([one.direct for one in encoded])
    return {
        "queries": len(simple),
        "systems": {
            name: {**one, "queries_per_second": len(simple) / one["seconds"]} for name, one in seconds.items()
        },
        "auto_over_never": seconds["auto"]["seconds"] / seconds["never"]["seconds"],
        "auto_over_plain": seconds["auto"]["seconds"] / seconds["plain_forward"]["seconds"],
        "decode_steps": engine.counters.decode_steps,
        "drawn": len(drawn),
        "largest_difference": float(np.abs(outputs["vlm2vec_32"].vectors - vectors).max()),
        "plain_difference": float(np.abs(outputs["plain_forward"] - vectors).max()),
    }


@torch.inference_mode()
def _plain(model: TraceModel, asked: Sequence[Asked], size: int = 32) -> NDArray[np.float32]:
    """One forward of the language model over batches of equal lengths, and nothing else."""
    order = sorted(range(len(asked)), key=lambda row: len(model.prompt_ids(asked[row].item)))
    vectors = np.empty((len(asked), model.dim), np.float32)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        batch = collate(model, [Row(asked[row].item) for row in rows])
        states = last_states(hidden_states(model.network, batch), batch["lengths"])
        vectors[rows] = normalise(states).numpy()
    return vectors


def modes_section(bench: Bench) -> dict[str, Any]:
    """Direct, always, adaptive and oracle: queries/s, recall and tokens, and what a token costs."""
    asked = mix(bench.queries, None, bench.count * 2, SEED)
    hard = [one for one in asked if one.complex]
    easy = [one for one in asked if not one.complex]
    systems: dict[str, Run] = {
        "never": lambda: bench.ours(asked, "never"),
        "adaptive": lambda: bench.ours(asked, "auto"),
        "always": lambda: bench.ours(asked, "always"),
        "oracle": lambda: (bench.ours(hard, "always"), bench.ours(easy, "never")),
    }
    seconds, outputs = bench.interleaved(systems)
    _, everything = outputs["always"]
    modes: dict[str, Any] = {}
    chosen = {
        "never": [one.direct for one in everything],
        "adaptive": [one.vector("auto") for one in everything],
        "always": [one.reasoned for one in everything],
        "oracle": [
            one.reasoned if query.complex else one.direct
            for query, one in zip(asked, everything, strict=True)
        ],
    }
    pools = _pools(bench)
    for name, vectors in chosen.items():
        spent = {"never": 0, "always": sum(one.trace_tokens for one in everything)}.get(name)
        if spent is None:
            flags = (
                [one.route == "complex" for one in everything]
                if name == "adaptive"
                else [q.complex for q in asked]
            )
            spent = sum(one.trace_tokens for one, flag in zip(everything, flags, strict=True) if flag)
        modes[name] = {
            **seconds[name],
            "queries_per_second": len(asked) / seconds[name]["seconds"],
            "recall_1": recall(asked, np.stack(vectors), pools, 1),
            "recall_5": recall(asked, np.stack(vectors), pools, 5),
            "tokens_per_query": spent / len(asked),
        }
    direct_ms = 1000 * seconds["never"]["seconds"] / len(asked)
    extra = seconds["adaptive"]["seconds"] - seconds["never"]["seconds"]
    token_ms = 1000 * extra / (modes["adaptive"]["tokens_per_query"] * len(asked))
    return {
        "queries": len(asked),
        "modes": modes,
        "route_cost": {"direct_ms": direct_ms, "trace_token_ms": token_ms},
    }


def _pools(bench: Bench) -> dict[Any, tuple[list[str], NDArray[np.float32]]]:
    engine, found = Engine(bench.model), {}
    for pair, pool in read_pools(bench.dataset).items():
        vectors = [one.direct for one in engine.encode([item for _, item in pool], reason="never")]
        found[pair] = ([did for did, _ in pool], np.stack(vectors))
    return found


def scaling_section(bench: Bench) -> dict[str, Any]:
    """How queries/s goes with slots, batch tokens, trace length, share of complex queries and pool size."""
    natural = mix(bench.queries, None, bench.count, SEED)
    hard = mix(bench.queries, 1.0, bench.count // 2, SEED)
    candidates = [item for pool in read_pools(bench.dataset).values() for _, item in pool]
    groups: dict[str, dict[str, tuple[int, Run]]] = {
        "slots": {
            str(slots): (len(hard), lambda slots=slots: bench.ours(hard, "auto", slots)) for slots in SLOTS
        },
        "batch_tokens": {
            str(size): (len(natural), lambda size=size: bench.ours(natural, "never", batch_tokens=size))
            for size in (512, 1024, 2048, 4096, 8192, 16384)
        },
        "trace_limit": {
            str(limit): (len(hard), lambda limit=limit: bench.ours(hard, "always", max_trace_tokens=limit))
            for limit in (2, 4, 8, 16, 32)
        },
        "complex_share": {str(share): (bench.count, run) for share, run in _shares(bench).items()},
        "candidates": {
            str(size): (
                size,
                lambda size=size: list(Engine(bench.model).encode(candidates[:size], reason="never")),
            )
            for size in (256, 512, 1024, 2048, 4096)
            if size <= len(candidates)
        },
    }
    found = {}
    for group, systems in groups.items():
        seconds, _ = bench.interleaved({name: run for name, (_, run) in systems.items()})
        found[group] = {
            name: {**seconds[name], "per_second": count / seconds[name]["seconds"]}
            for name, (count, _) in systems.items()
        }
    return found


def _shares(bench: Bench) -> dict[float, Run]:
    mixes = {share: mix(bench.queries, share, bench.count, SEED) for share in (0.0, 0.25, 0.5, 0.75, 1.0)}
    return {share: partial(bench.ours, asked, "auto") for share, asked in mixes.items()}


SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "peers": peers_section,
    "direct": direct_section,
    "modes": modes_section,
    "scaling": scaling_section,
}
