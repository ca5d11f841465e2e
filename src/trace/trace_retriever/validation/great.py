"""Running suites with Great Expectations, in memory, with Data Docs as static HTML."""

import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from trace_retriever.io.progress import progress
from trace_retriever.validation.rules import Rule, Suite

EXAMPLES = 5
Result = dict[str, Any]


def run_suites(suites: Iterable[Suite], data_docs: Path) -> list[Result]:
    """Run suites and write their Data Docs.

    Args:
        suites: of distinct names; each is taken when the one before is over.
        data_docs: directory for the site; its page is `index.html`.

    Returns:
        One result a suite, in order: name, success, rows, evaluated (how many rules), failed (names of rules)
        and expectations; of each of those rule, meaning, success, unexpected (how many rows), share (of the
        rows), observed (of a whole column), and up to five examples as column → value. The same data give the
        same result.
    """
    with _quiet():
        gx = _import()
        context = gx.get_context(mode="ephemeral")
        _configure(context, data_docs)
        source = context.data_sources.add_pandas("tables")
        results = [_run(gx, context, source, suite) for suite in suites]
        for entry in (entry for result in results for entry in result["expectations"]):
            del entry["known"]
        context.build_data_docs()
    return results


def _import() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import
    import great_expectations

    return great_expectations


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep out the two warnings that importing Great Expectations 1.24 gives on Python 3.11."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "module 'sre_", DeprecationWarning)
        warnings.filterwarnings("ignore", "Please install grpcio-status", ImportWarning)
        yield


def _configure(context: Any, data_docs: Path) -> None:
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(data_docs.resolve())}
    site = {"class_name": "SiteBuilder", "store_backend": store}
    site["site_index_builder"] = {"class_name": "DefaultSiteIndexBuilder"}
    for name in list(context.get_site_names()):
        context.delete_data_docs_site(name)  # the default one lies in a temporary directory
    context.add_data_docs_site(site_name="data_docs", site_config=site)
    context.variables.progress_bars = {"globally": False}


def _run(gx: Any, context: Any, source: Any, suite: Suite) -> Result:
    if isinstance(suite.frame, pd.DataFrame):
        return _run_frame(gx, context, source, suite, suite.frame, suite.name)
    found = []
    for kind, frames in (("rows", suite.frame), ("whole", suite.whole)):
        part = replace(suite, rules=[rule for rule in suite.rules if rule.whole == (kind == "whole")])
        parts = progress(frames() if frames else (), f"{suite.name}, {kind}", unit="part")
        found.append(
            [
                _run_frame(gx, context, source, part, frame, f"{suite.name} {kind} {number}")
                for number, frame in enumerate(parts, start=1)
            ]
        )
    return _merged(suite, *found)


def _merged(suite: Suite, rowwise: Sequence[Result], whole: Sequence[Result]) -> Result:
    """One result of the parts of a table: each rule's counts added, the first examples kept."""
    entries = []
    results = [*rowwise, *whole]
    for rule in suite.rules:
        found = [e for result in results for e in result["expectations"] if e["rule"] == rule.name]
        entry = dict(found[0])
        entry["success"] = all(one["success"] for one in found)
        entry["unexpected"] = sum(one["unexpected"] for one in found)
        entry["known"] = sum(one["known"] for one in found)
        entry["share"] = entry["unexpected"] / max(1, entry["known"])
        entry["examples"] = [row for one in found for row in one["examples"]][:EXAMPLES]
        entry |= next(({"fault": one["fault"]} for one in found if "fault" in one), {})
        entries.append(entry)
    failed = [entry["rule"] for entry in entries if not entry["success"]]
    return {
        "name": suite.name,
        "success": not failed,
        "rows": sum(result["rows"] for result in rowwise),
        "evaluated": len(entries),
        "failed": failed,
        "expectations": entries,
    }


def _run_frame(gx: Any, context: Any, source: Any, suite: Suite, frame: pd.DataFrame, name: str) -> Result:
    asset = source.add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("whole")
    expectations = context.suites.add(gx.ExpectationSuite(name=name))
    for rule in suite.rules:
        kind = getattr(gx.expectations, rule.kind)
        expectations.add_expectation(kind(**rule.arguments, meta={"rule": rule.name}, notes=rule.meaning))
    definition = gx.ValidationDefinition(name=name, data=batch, suite=expectations)
    checkpoint = gx.Checkpoint(
        name=name,
        validation_definitions=[context.validation_definitions.add(definition)],
        result_format={
            "result_format": "SUMMARY",
            "partial_unexpected_count": EXAMPLES,
            "unexpected_index_column_names": list(suite.index),
            "include_unexpected_rows": False,
        },
    )
    done = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame})
    _forget(source)
    (validation,) = done.run_results.values()
    found = {entry.expectation_config.meta["rule"]: entry.to_json_dict() for entry in validation.results}
    entries = [_entry(rule, found[rule.name]) for rule in suite.rules]
    failed = [entry["rule"] for entry in entries if not entry["success"]]
    return {
        "name": suite.name,
        "success": not failed,
        "rows": len(frame),
        "evaluated": len(entries),
        "failed": failed,
        "expectations": entries,
    }


def _forget(source: Any) -> None:
    """Let go of the frame: the engine keeps all that it was ever given, a table in parts as a whole."""
    loaded = source.get_execution_engine().batch_manager
    loaded.reset_batch_cache()
    loaded.batch_data_cache.clear()


def _entry(rule: Rule, raw: dict[str, Any]) -> Result:
    result = raw["result"]
    entry: Result = {
        "rule": rule.name,
        "meaning": rule.meaning,
        "kind": rule.kind,
        "success": bool(raw["success"]),
        "unexpected": result.get("unexpected_count", 0),
        "known": result.get("element_count", 0) - result.get("missing_count", 0),
        "share": _plain(result.get("unexpected_percent") or 0.0) / 100,
        "observed": _plain(result.get("observed_value")),
        "examples": [],
    }
    if not entry["success"]:
        rows = result.get("partial_unexpected_index_list") or []
        entry["examples"] = [{key: _plain(value) for key, value in row.items()} for row in rows[:EXAMPLES]]
        if fault := _fault(raw["exception_info"]):
            entry["fault"] = fault
    return entry


def _fault(info: dict[str, Any]) -> str | None:
    """Why an expectation could not be evaluated; None when it could."""
    entries = [info] if "raised_exception" in info else list(info.values())
    messages = [str(entry.get("exception_message")) for entry in entries if entry.get("raised_exception")]
    return messages[0] if messages else None


def _plain(value: Any) -> Any:
    """A number as JSON has it: none of numpy's types, no infinities."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
