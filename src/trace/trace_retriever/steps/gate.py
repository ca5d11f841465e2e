"""The step `gate`: may this model be promoted?"""

from pathlib import Path
from typing import Any

from trace_retriever.config.gate import GateConfig
from trace_retriever.errors import GateFailed
from trace_retriever.gates.evidence import read_evidence
from trace_retriever.gates.policy import judge
from trace_retriever.gates.report import gate_page
from trace_retriever.gates.verdict import Verdict
from trace_retriever.io.files import digest_file, read_json, write_atomic, write_json
from trace_retriever.step import Metrics


def gate(
    config: GateConfig,
    *,
    evaluation: Path,
    validation: Path,
    champion: Path | None,
    out: Path,
    report: Path,
    work: Path,  # noqa: ARG001 (seconds: it starts over)
) -> Metrics:
    """Write `verdict.json`, and `gate.html` to the report.

    Args:
        config: thresholds.
        evaluation, validation: those steps' outputs.
        champion: an earlier evaluation, or a registered model; None skips the comparison and says so.
        out, report, work: see `runner.run_step`.

    Raises:
        GateFailed: a check said no; everything is written.
        DataError: an input is broken, or lacks what is to be judged.
    """
    validated: dict[str, Any] = read_json(validation / "validation.json")
    rival = read_evidence(champion) if champion else None
    found, digest = read_evidence(evaluation, validated), digest_file(validation / "validation.json")
    verdict = judge(config, found, validated, rival, validation_digest=digest)
    write_json(out / "verdict.json", verdict.as_json())
    write_atomic(report / "gate.html", gate_page(verdict))
    metrics = _metrics(verdict)
    if not verdict.passed:
        lines = [f"{check.name}, {check.scope}: {check.why}" for check in verdict.failed]
        problem = f"{len(lines)} check(s) refuse this model:\n    " + "\n    ".join(lines)
        raise GateFailed(
            problem, metrics=metrics, remedy="see gate.html in the report; thresholds: params, section gate"
        )
    return metrics


def _metrics(verdict: Verdict) -> Metrics:
    applied = [check for check in verdict.checks if check.passed is not None]
    return {
        "passed": verdict.passed,
        "checks": len(applied),
        "failed": len(verdict.failed),
        "not_applicable": len(verdict.checks) - len(applied),
        "headline": verdict.headline,
        "against_champion": {
            check.scope: check.value
            for check in verdict.checks
            if check.name == "non-inferiority" and check.value is not None
        },
    }
