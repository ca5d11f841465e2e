"""Step `route`: label each train and val query simple or complex, and compare the ways to do so."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from trace_retriever.config.route import RouteConfig, Strategy
from trace_retriever.errors import DataError
from trace_retriever.io.files import write_atomic
from trace_retriever.mbeir.layout import Layout
from trace_retriever.step import Metrics
from trace_retriever.traces.examples import Example, Examples, load_examples
from trace_retriever.traces.reports.route import route_metrics, route_page
from trace_retriever.traces.routes import STRATEGIES, routes_table, write_routes
from trace_retriever.traces.routing import Labels, label, sample
from trace_retriever.traces.teachers.base import Teacher
from trace_retriever.traces.teachers.build import build_teacher, with_default_path


def route(
    config: RouteConfig, *, dataset: Path, backbone: Path | None = None, out: Path, report: Path, work: Path
) -> Metrics:
    """Write `routes.parquet` (see `traces.routes`) and a report that compares the strategies.

    Args:
        config: strategy, teacher, what is compared.
        dataset: M-BEIR root.
        backbone: a local teacher's checkpoint where the params name none.
        out, report, work: as every step (`step.Step`).

    Raises:
        DataError: the chosen strategy cannot label this data set.
        TeacherError: the teacher fails too often, or its budget is spent; run again to go on.
    """
    layout = Layout(dataset)
    examples = load_examples(layout, config.splits, prompt_index=config.prompt_index, targets=False)
    labels = _labels(config, layout, examples, backbone, work)
    table = routes_table(examples, labels, config.strategy)
    write_routes(out / "routes.parquet", table)
    metrics = route_metrics(config, layout, examples, labels, table)
    write_atomic(report / "report.html", route_page(config, metrics, examples, table))
    return metrics


def _labels(
    config: RouteConfig, layout: Layout, examples: Examples, backbone: Path | None, work: Path
) -> dict[Strategy, Labels]:
    @cache
    def teacher() -> Teacher:
        return build_teacher(with_default_path(config.teacher, backbone), layout, config.splits)

    labels: dict[Strategy, Labels] = {}
    for strategy in STRATEGIES:
        if strategy == config.strategy:
            asked: Sequence[Example] = examples
        elif strategy in config.compare:
            asked = sample(examples, config.compare_queries, config.seed)
        else:
            continue
        labels[strategy] = label(strategy, asked, layout, teacher, config, work)
    if reason := labels[config.strategy].skipped:
        raise DataError(
            f"strategy {config.strategy!r} cannot label this data set: {reason}",
            where=layout.root,
            remedy="set route.strategy to judge or dataset",
        )
    return labels
