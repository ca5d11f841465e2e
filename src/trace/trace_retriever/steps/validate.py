"""The step `validate`: Great Expectations over the data set and what was made from it."""

from pathlib import Path

from trace_retriever.config.validate import ValidateConfig
from trace_retriever.errors import ValidationFailed
from trace_retriever.io.files import write_atomic, write_json
from trace_retriever.step import Metrics
from trace_retriever.validation.report import as_json, as_metrics, summary_page
from trace_retriever.validation.run import run_validation


def validate(
    config: ValidateConfig,
    *,
    dataset: Path,
    routes: Path,
    kept: Path,
    previous: Path | None,
    out: Path,
    report: Path,
    work: Path,
) -> Metrics:
    """Write `validation.json` and `statistics.json`, and to the report `validation.html` and `data_docs/`.

    Returns:
        See `as_metrics`.

    Raises:
        ValidationFailed: an expectation does not hold; everything is written.
        DataError: a file is missing, or a line cannot be read at all.
    """
    validation = run_validation(
        config,
        dataset=dataset,
        routes=routes,
        kept=kept,
        previous=previous,
        data_docs=report / "data_docs",
        work=work / "tables",
    )
    write_json(out / "validation.json", as_json(validation))
    write_json(out / "statistics.json", validation.statistics)
    write_atomic(report / "validation.html", summary_page(validation))
    metrics = as_metrics(validation)
    if not validation.success:
        first = [
            _example(entry, result["name"])
            for result in validation.results
            for entry in result["expectations"]
        ]
        problem = "the data do not meet their expectations:\n    " + "\n    ".join(filter(None, first))
        remedy = "see validation.html in the report; correct the data, or a bound in params, section validate"
        raise ValidationFailed(problem, metrics=metrics, remedy=remedy)
    return metrics


def _example(entry: Metrics, suite: str) -> str | None:
    """A failed expectation in a line, with its first example."""
    if entry["success"]:
        return None
    found = entry.get("fault") or entry["observed"] or (entry["examples"] or ["no example"])[0]
    count = f", {entry['unexpected']:,} rows" if entry["unexpected"] else ""
    return f"{suite}.{entry['rule']}{count}: {found}"
