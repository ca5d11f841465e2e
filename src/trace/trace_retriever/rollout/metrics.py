"""Counters of a serving process, read from Prometheus' text, and what happened between two readings."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from trace_retriever.rollout.errors import RolloutError

REQUESTS, SECONDS = "trace_requests_total", "trace_request_seconds_bucket"
COUNTERS = (REQUESTS, SECONDS)
FAILED = ("error", "deadline")
ANSWERED = ("ok", "refused", *FAILED)  # who hung up has had no answer, good or bad
LARGEST = 4 * 1024 * 1024

Series = tuple[str, frozenset[tuple[str, str]]]
Snapshot = Mapping[Series, float]


def parse_metrics(text: str) -> Snapshot:
    """The counters that a rollout looks at.

    Raises:
        RolloutError: not Prometheus' text format, or larger than anything a server of ours says.
    """
    from prometheus_client.parser import text_string_to_metric_families

    if len(text) > LARGEST:
        raise RolloutError(f"metrics of {len(text):,} characters; at most {LARGEST:,} are read")
    try:
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return series((sample.name, sample.labels, sample.value) for sample in samples)
    except (ValueError, KeyError, IndexError) as error:
        raise RolloutError(f"not metrics in Prometheus' text format: {error}") from None


def series(samples: Iterable[tuple[str, Mapping[str, str], float]]) -> Snapshot:
    """Samples (name, labels, value) as a snapshot; other names are left out."""
    return {
        (name, frozenset(labels.items())): float(value) for name, labels, value in samples if name in COUNTERS
    }


@dataclass(frozen=True)
class Latencies:
    """A histogram of answers' seconds: upper bounds, rising to infinity, and how many lie in each."""

    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()

    @property
    def total(self) -> float:
        """How many answers."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """An upper bound of a quantile: that of the bucket it lies in; infinity past the last one."""
        wanted, seen = share * self.total, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            seen += count
            if count and seen >= wanted:
                return bound
        return inf

    def above(self, limit: float) -> float:
        """How many took longer than a bucket's bound (`limit` must be one, or all above it count as not)."""
        return sum(c for bound, c in zip(self.bounds, self.counts, strict=True) if bound > limit)

    def next_bound(self, limit: float) -> float:
        """The smallest bound that is not below a limit: what can be told from a histogram."""
        return next((bound for bound in self.bounds if bound >= limit), inf)


@dataclass(frozen=True)
class Window:
    """What one side did between two readings.

    Attributes:
        outcomes: how many requests ended so.
        latencies: per route.
    """

    outcomes: Mapping[str, float] = field(default_factory=dict)
    latencies: Mapping[str, Latencies] = field(default_factory=dict)

    def count(self, *outcomes: str) -> int:
        """How many requests ended in one of some ways."""
        return round(sum(self.outcomes.get(outcome, 0.0) for outcome in outcomes))

    @property
    def requests(self) -> int:
        """How many were answered, in whichever way."""
        return self.count(*ANSWERED)


def window(before: Snapshot, after: Snapshot) -> Window:
    """What happened between two readings of one side (of one or several processes).

    A counter that is smaller than before belongs to a process that began anew: all of it is new, as
    Prometheus' own `increase` has it.
    """
    outcomes: dict[str, float] = defaultdict(float)
    cumulative: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for key, value in after.items():
        name, labels = key[0], dict(key[1])
        earlier = before.get(key, 0.0)
        new = value - earlier if value >= earlier else value
        if name == REQUESTS:
            outcomes[labels.get("outcome", "")] += new
        else:
            cumulative[labels.get("route", "")][float(labels["le"])] += new
    return Window(dict(outcomes), {route: _histogram(buckets) for route, buckets in cumulative.items()})


def _histogram(buckets: Mapping[float, float]) -> Latencies:
    bounds = tuple(sorted(buckets))
    below = 0.0
    counts = []
    for bound in bounds:
        counts.append(max(0.0, buckets[bound] - below))  # a scrape while a request ends is off by one
        below = max(below, buckets[bound])
    return Latencies(bounds, tuple(counts))
