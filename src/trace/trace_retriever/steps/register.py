"""The step `register`: a model that passed its gate, packed with its card, manifest and evidence."""

import shutil
from pathlib import Path
from typing import Any

from trace_retriever import __version__
from trace_retriever.cards.card import model_card
from trace_retriever.cards.curves import copy_curves
from trace_retriever.cards.manifest import (
    EVIDENCE,
    MANIFEST,
    code_digest,
    file_digests,
    verify_registered,
)
from trace_retriever.cards.package import copy_model
from trace_retriever.cards.samples import copy_samples
from trace_retriever.cards.served import served_route, store_route
from trace_retriever.config.register import RegisterConfig
from trace_retriever.errors import DataError
from trace_retriever.gates.evidence import evidence_digest
from trace_retriever.io.files import digest_file, digest_tree, read_json, write_atomic, write_json
from trace_retriever.step import Metrics


def register(
    config: RegisterConfig,
    *,
    model: Path,
    evaluation: Path,
    verdict: Path,
    validation: Path,
    curves: Path | None = None,
    out: Path,
    report: Path,
    work: Path,  # noqa: ARG001 (seconds: it starts over)
) -> Metrics:
    """Write the model's files, `MODEL_CARD.md`, `manifest.json` and `evidence/`; the card to the report too.

    `curves` are those of the model's training, for whoever reviews it; it may go without.

    Raises:
        DataError: the verdict is not passed or is about another evaluation or validation, evaluation or
            curves are of another model or not as they were written, the judged system cannot be served, or
            the model directory holds a file that may run code.
    """
    ruling: dict[str, Any] = read_json(verdict / "verdict.json")
    results: dict[str, Any] = read_json(evaluation / "results.json")
    _check_chain(ruling, verdict, evaluation, validation)
    _check_model(results, model, evaluation)
    route = served_route(ruling["policy"]["system"], results, evaluation / "results.json")
    copy_model(model, out)
    store_route(out, route)
    _copy_evidence(out / EVIDENCE, evaluation, verdict, validation)
    copy_samples(evaluation, results, out / EVIDENCE)
    if curves is not None:
        copy_curves(curves, model, out / EVIDENCE)
    card = model_card(config, evaluation, ruling, route)
    write_atomic(out / "MODEL_CARD.md", card)
    write_atomic(report / "MODEL_CARD.md", card)
    validated = read_json(validation / "validation.json")
    write_json(out / MANIFEST, _manifest(config, out, ruling, validated))
    verify_registered(out)
    return _metrics(config, out, ruling)


def _check_chain(ruling: dict[str, Any], verdict: Path, evaluation: Path, validation: Path) -> None:
    where = verdict / "verdict.json"
    if ruling.get("passed") is not True:
        failed = ", ".join(ruling.get("failed") or ["not said which"])
        raise DataError(
            f"the gate refused this model: {failed}", where=where, remedy="only a passed model is registered"
        )
    if ruling.get("evaluation") != evidence_digest(evaluation):
        raise DataError(
            "the verdict is about another evaluation", where=where, remedy="run `trace gate` again"
        )
    if ruling.get("validation") != digest_file(validation / "validation.json"):
        raise DataError(
            "the verdict is about another validation", where=where, remedy="run `trace gate` again"
        )


def _check_model(results: dict[str, Any], model: Path, evaluation: Path) -> None:
    """The vectors that were evaluated are this model's: step `embed` noted its digest."""
    where = evaluation / "results.json"
    evaluated = results.get("embeddings", {}).get("trace", {}).get("model")
    if evaluated is None:
        raise DataError("the evaluation does not name its model", where=where, remedy="evaluate again")
    if evaluated != digest_tree(model):
        raise DataError(
            "the evaluation is of another model", where=where, remedy="run `trace embed` and on again"
        )


def _copy_evidence(folder: Path, evaluation: Path, verdict: Path, validation: Path) -> None:
    folder.mkdir()
    for source in (
        evaluation / "queries.parquet",
        evaluation / "results.json",
        verdict / "verdict.json",
        validation / "validation.json",
    ):
        shutil.copyfile(source, folder / source.name)


def _manifest(
    config: RegisterConfig, out: Path, ruling: dict[str, Any], validated: dict[str, Any]
) -> dict[str, Any]:
    settings = out / "trace.json"
    return {
        "name": config.name,
        "version": config.version,
        "type": "model",
        "files": file_digests(out),
        "data": validated["files"],
        "code": {"package": __version__, "digest": code_digest()},
        "params": {
            "register": config.model_dump(mode="json"),
            "gate": ruling["policy"],
            "model": read_json(settings) if settings.is_file() else None,
        },
        "evaluation": ruling["evaluation"],
        "champion": ruling["champion"],
        "metrics": ruling["headline"],
        "verdict": {"passed": ruling["passed"], "checks": len(ruling["checks"])},
    }


def _metrics(config: RegisterConfig, out: Path, ruling: dict[str, Any]) -> Metrics:
    files = file_digests(out)
    return {
        "name": config.name,
        "version": config.version,
        "type": "model",
        "manifest_digest": digest_file(out / MANIFEST),
        "files": len(files),
        "bytes": sum(entry["bytes"] for entry in files.values()),
        "system": ruling["policy"]["system"],
        "headline": ruling["headline"],
    }
