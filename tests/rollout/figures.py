"""Made metrics of a serving process, as the text that it would answer with."""

from collections.abc import Mapping

from trace_retriever.rollout.metrics import Latencies, Window

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, float("inf"))


def text(
    outcomes: Mapping[str, int] | None = None,
    seconds: Mapping[float, int] | None = None,
    route: str = "simple",
) -> str:
    """Prometheus' text: outcome → requests, bucket's bound → answers in it."""
    lines = ["# HELP trace_requests_total Requests.", "# TYPE trace_requests_total counter"]
    for outcome, count in (outcomes or {}).items():
        lines.append(f'trace_requests_total{{route="{route}",outcome="{outcome}"}} {count}')
    lines += ["# HELP trace_request_seconds Seconds.", "# TYPE trace_request_seconds histogram"]
    total = 0
    for bound in BOUNDS if seconds is not None else ():
        total += (seconds or {}).get(bound, 0)
        shown = "+Inf" if bound == float("inf") else str(bound)
        lines.append(f'trace_request_seconds_bucket{{route="{route}",le="{shown}"}} {total}')
    lines += [f'trace_request_seconds_count{{route="{route}"}} {total}']
    lines += [
        f'trace_request_seconds_sum{{route="{route}"}} {total}',
        "# TYPE trace_slots gauge",
        "trace_slots 8",
    ]
    return "\n".join([*lines, ""])


def side(ok: int, errors: int = 0, refused: int = 0, seconds: Mapping[float, int] | None = None) -> Window:
    """A window of one route."""
    given = seconds if seconds is not None else {0.05: ok}
    latencies = Latencies(BOUNDS, tuple(float(given.get(bound, 0)) for bound in BOUNDS))
    return Window({"ok": ok, "error": errors, "refused": refused}, {"simple": latencies})
