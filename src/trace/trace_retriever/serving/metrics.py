"""What a server tells Prometheus; queues and slots are read when they are asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trace_retriever.engine.encoded import Encoded
from trace_retriever.serving.front import Status

BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)  # seconds
UNKNOWN = "unknown"  # the route of what was refused before its prompt was computed
OUTCOMES = ("ok", "refused", "deadline", "error", "cancelled", "invalid")


@dataclass
class Metrics:
    """Counters of one server, in a registry of its own: several servers may live in one process."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        own = self.registry
        self.requests = Counter(
            "trace_requests", "Queries by route and outcome.", ("route", "outcome"), registry=own
        )
        self.seconds = Histogram(
            "trace_request_seconds",
            "Time from a query's arrival to its answer.",
            ("route",),
            buckets=BUCKETS,
            registry=own,
        )
        self.tokens = Counter("trace_tokens", "Tokens of traces that were written.", registry=own)
        self.truncated = Counter("trace_truncated", "Traces cut at their limit.", registry=own)
        self.swaps = Counter("trace_index_swaps", "Swaps of the index.", ("outcome",), registry=own)
        self.info = Gauge(
            "trace_model_info", "What is served.", ("version", "manifest", "index"), registry=own
        )

    def answered(self, encoded: Encoded, seconds: float) -> None:
        """Count a query that was answered."""
        self.requests.labels(encoded.route, "ok").inc()
        self.seconds.labels(encoded.route).observe(seconds)
        self.tokens.inc(encoded.trace_tokens)
        self.truncated.inc(encoded.truncated)

    def failed(self, outcome: str, count: int = 1) -> None:
        """Count queries that were not."""
        self.requests.labels(UNKNOWN, outcome).inc(count)

    def serve(self, version: str, manifest: str, index: str) -> None:
        """Say what is served from now on."""
        self.info.clear()
        self.info.labels(version, manifest, index).set(1)

    def watch(self, status: Callable[[], Status]) -> None:
        """Have queues and slots read from here."""
        self.registry.register(_Queues(status))

    def exposition(self) -> bytes:
        """The text that is scraped: this server's figures, then those of the process and of KServe's SDK."""
        return generate_latest(self.registry) + generate_latest(REGISTRY)


class _Queues(Collector):
    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        now = self._status()
        queues = GaugeMetricFamily("trace_queue_length", "Queries that wait.", labels=("queue",))
        queues.add_metric(("prompts",), now.prompts)
        queues.add_metric(("reasoning",), now.reasoning)
        yield queues
        yield GaugeMetricFamily("trace_slots_used", "Rows that write a trace.", value=now.slots_used)
        yield GaugeMetricFamily("trace_slots", "Rows that can.", value=now.slots)
