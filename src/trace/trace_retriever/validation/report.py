"""The outcome of a validation as JSON, as metrics, and as a page that leads to the Data Docs."""

import json
from typing import Any

import pandas as pd
from markupsafe import Markup

from trace_retriever.io.html import Section, note, page, paragraph, table
from trace_retriever.validation.run import Validation


def as_json(validation: Validation) -> dict[str, Any]:
    """The content of `validation.json`: success, suites, failed, reachability, drift, images, files."""
    return {
        "success": validation.success,
        "failed": validation.failed,
        "suites": validation.results,
        "reachability": validation.reachability,
        "drift": validation.drift,
        "images": validation.images,
        "files": validation.files,
    }


def as_metrics(validation: Validation) -> dict[str, Any]:
    """Counts and shares for `metrics.json`."""
    rules = {
        (result["name"], entry["rule"]): entry
        for result in validation.results
        for entry in result["expectations"]
    }
    distances = [row["distance"] for row in validation.drift or []]
    return {
        "success": validation.success,
        "expectations": len(rules),
        "failed": len(validation.failed),
        "complex_share": rules["routing", "complex_share"]["observed"],
        "max_drift": max(distances) if distances else None,
        "images_opened": validation.images["opened"],
        "suites": {
            result["name"]: {"rows": result["rows"], "failed": len(result["failed"])}
            for result in validation.results
        },
        "leak_share": {rule: entry["share"] for (suite, rule), entry in rules.items() if suite == "leaks"},
        "reachability": validation.reachability,
    }


def summary_page(validation: Validation) -> str:
    """One page: the suites, what failed with examples, reachability, drift."""
    sections = [Section("Suites", _suites(validation))]
    if validation.failed:
        sections.insert(0, Section("What failed", _failures(validation)))
    sections.append(Section("Positives in the pools", _reachability(validation)))
    if validation.drift:
        frame = pd.DataFrame(validation.drift).sort_values("distance", ascending=False)
        sections.append(Section("Drift from the previous version", table(frame, index=False)))
    return page(f"Validation: {'passed' if validation.success else 'FAILED'}", sections)


def _suites(validation: Validation) -> Markup:
    rows = [
        {
            "suite": result["name"],
            "rows": result["rows"],
            "expectations": result["evaluated"],
            "failed": len(result["failed"]),
        }
        for result in validation.results
    ]
    link = Markup('<p><a href="data_docs/index.html">Data Docs</a> have every expectation in full.</p>')
    return table(pd.DataFrame(rows), index=False) + link


def _failures(validation: Validation) -> Markup:
    parts = [
        _failure(result["name"], entry)
        for result in validation.results
        for entry in result["expectations"]
        if not entry["success"]
    ]
    return Markup("\n").join(parts)


def _failure(suite: str, entry: dict[str, Any]) -> Markup:
    if "fault" in entry:
        return note(f"{suite}.{entry['rule']} could not be evaluated: {entry['fault']}")
    if entry["observed"] is not None:
        return note(f"{suite}.{entry['rule']}: {entry['meaning']}; found {entry['observed']}")
    shown = paragraph(f"Examples, of {entry['unexpected']:,} ({entry['share']:.2%}):")
    examples = pd.DataFrame([{key: _cell(value) for key, value in row.items()} for row in entry["examples"]])
    return note(f"{suite}.{entry['rule']}: {entry['meaning']}") + shown + table(examples, index=False)


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _reachability(validation: Validation) -> Markup:
    rows = [
        {"split": split, "pair": pair, "local": shares["local"], "global": shares["global"]}
        for split, pairs in validation.reachability.items()
        for pair, shares in pairs.items()
    ]
    return table(pd.DataFrame(rows), ".1%", index=False)
