"""The report that every pipeline run leaves, however it ended: what ran, what failed, and the figures."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trace_retriever.io.files import write_atomic, write_json
from trace_retriever.kubeflow.artifacts import Artifact
from trace_retriever.kubeflow.ledger import COMMIT, LEDGER, RUN, Entry, Ledger

LARGEST = 12


def write_report(status: Any, page: Path, summary: Path, record: Path) -> None:
    """Write the run's report as HTML, as Markdown, and as JSON for machines.

    Args:
        status: KFP's `PipelineTaskFinalStatus` of everything that the exit handler waited for.
        page, summary, record: files to write.
    """
    ledger = Ledger.from_environment()
    entries = ledger.read() if ledger else []
    about = {
        "run": os.environ.get(RUN, ""),
        "commit": os.environ.get(COMMIT) or next((entry.commit for entry in entries if entry.commit), ""),
        "job": status.pipeline_job_resource_name,
        "state": status.state,
        "error": status.error_message or "",
    }
    write_json(record, {**about, "tasks": [vars(entry) for entry in entries]})
    write_atomic(summary, markdown(about, entries))
    write_atomic(page, html(about, entries))


def report_component(status: Any, page: Artifact, summary: Artifact, record: Artifact) -> None:
    """Component `report`: `write_report` on artifacts."""
    write_report(status, Path(page.path), Path(summary.path), Path(record.path))


def markdown(about: dict[str, Any], entries: Sequence[Entry]) -> str:
    """The short form, which KFP shows inline."""
    lines = [f"# Run {about['run'] or about['job']}: {about['state']}", ""]
    lines += [f"{name}: {value}  " for name, value in _facts(about)]
    lines += ["", "| task | state | seconds | why |", "|---|---|---:|---|"]
    for entry in entries:
        why = entry.problem.splitlines()[0].replace("|", "\\|") if entry.problem else ""
        lines.append(f"| {entry.name} | {shown_state(entry)} | {entry.seconds:.1f} | {why} |")
    return "\n".join([*lines, ""]) if entries else "\n".join([*lines[:-2], _without_ledger(), ""])


def html(about: dict[str, Any], entries: Sequence[Entry]) -> str:
    """The long form: each task's state, reason, figures and digests, and the params."""
    import pandas as pd
    import yaml

    from trace_retriever.io.html import Section, join, note, page, paragraph, table

    facts = table(pd.DataFrame(_facts(about), columns=["", "value"]))
    rows = [
        {
            "task": entry.name,
            "state": shown_state(entry),
            "began": datetime.fromtimestamp(entry.started, UTC).isoformat(" ", "seconds"),
            "seconds": entry.seconds,
            "why": entry.problem,
        }
        for entry in entries
    ]
    tasks = table(pd.DataFrame(rows), ".1f") if rows else note(_without_ledger())
    sections = [Section("The run", facts), Section("Tasks", tasks)]
    for entry in entries:
        figures = [
            (key, value) for key, value in entry.metrics.items() if isinstance(value, int | float | str)
        ][:LARGEST]
        parts = [table(pd.DataFrame([*figures, *entry.outputs.items()], columns=["figure", "value"]))]
        if entry.config:
            parts.append(_preformatted(yaml.safe_dump(entry.config, sort_keys=False)))
        if entry.problem:
            parts.insert(0, paragraph(entry.problem))
        sections.append(Section(entry.name, join(*parts)))
    return page(f"Pipeline run: {about['state']}", sections)


def _preformatted(text: str) -> Any:
    from markupsafe import Markup

    return Markup("<pre>{}</pre>").format(text)


def shown_state(entry: Entry) -> str:
    """The state in words; a task that never noted its end was killed."""
    return "killed" if entry.state == "running" else entry.state


def _facts(about: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in about.items() if value]


def _without_ledger() -> str:
    return f"Which tasks ran is not known: {LEDGER} names no place to which tasks could note it."
