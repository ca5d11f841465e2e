"""Doing one unit: train and measure a variant, look at trained ones, or make what they start from."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_retriever.experiments.measure import measure, read_fields
from trace_retriever.experiments.places import Places
from trace_retriever.experiments.probes import candidate_side, counterfactuals, two_stage, wording
from trace_retriever.experiments.study import CHAIN, Study
from trace_retriever.experiments.units import Kind, Unit
from trace_retriever.io.files import atomic_directory, digest_bytes, read_json, write_json
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.runner import git_commit, machine, run_step

if TYPE_CHECKING:
    import pandas as pd


def do(study: Study, places: Places, unit: Unit) -> None:
    """Do a unit, unless it is done; what it found goes to its table, how it came about beside it.

    Raises:
        TraceError: whatever the steps raise.
    """
    if is_done(study, places, unit):
        return
    started = time.time()
    table = WAYS[unit.kind](study, places, unit)
    if table is not None:
        path = unit.table(places.results)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        table.to_parquet(partial, index=False, compression="zstd")
        partial.replace(path)
    about = {
        "definition": definition(study, unit),
        "params": _params(study, unit),
        "commit": git_commit(),
        "machine": machine(),
        "seconds": round(time.time() - started, 1),
    }
    write_json(_about(places, unit), about)


def is_done(study: Study, places: Places, unit: Unit) -> bool:
    """Whether a unit's results are there, from the same definition; its models may be gone by then."""
    about = _about(places, unit)
    return about.is_file() and read_json(about)["definition"] == definition(study, unit)


def definition(study: Study, unit: Unit) -> str:
    """A digest of all that decides a unit's results but the code."""
    parts = [study.data.model_dump(mode="json"), unit.kind, unit.seed, _params(study, unit)]
    return digest_bytes(repr(parts).encode())


def _params(study: Study, unit: Unit) -> dict[str, Any]:
    """The params behind a unit, those of the units that it needs included."""
    if unit.kind == "train":
        variant = study.variants[unit.name]
        made = {}
        if variant.traces != CHAIN:
            made["traces"] = study.traces[variant.traces].model_dump(mode="json")
        if variant.backbone != CHAIN:
            made["backbone"] = study.backbones[variant.backbone].model_dump(mode="json")
        return {"train": study.config(unit.name, unit.seed).model_dump(mode="json"), **made}
    if unit.kind == "traces":
        return study.traces[_short(unit)].model_dump(mode="json")
    if unit.kind == "backbone":
        return study.backbones[_short(unit)].model_dump(mode="json")
    names = [need.rpartition("-")[0] for need in unit.needs]
    return {name: study.config(name, unit.seed).model_dump(mode="json") for name in names}


def _about(places: Places, unit: Unit) -> Path:
    folder = places.results / "runs" if unit.seed else places.work / "made"
    return folder / f"{unit.key}.json"


def _short(unit: Unit) -> str:
    return unit.name.removeprefix(f"{unit.kind}-")


def _step(places: Places, name: str, config: Any, out: Path, **inputs: Path) -> None:
    """Run a step of the chain into the study's work."""
    report = places.work / "reports" / out.parent.name / out.name
    run_step(name, config, inputs=inputs, out=out, report=report, work_root=places.work / "steps")


def _train(study: Study, places: Places, unit: Unit) -> "pd.DataFrame":
    variant, out = study.variants[unit.name], places.model(unit.name, unit.seed)
    if not out.exists():
        _step(
            places,
            "train",
            study.config(unit.name, unit.seed),
            out,
            dataset=places.dataset,
            routes=places.routes(variant.traces),
            kept=places.kept(variant.traces),
            validation=places.validation,
            backbone=places.backbone(variant.backbone),
        )
    fields = read_fields(Layout(places.dataset), study.pairs(transfer=variant.transfer))
    table = measure(_model(places, unit.name, unit.seed), fields)
    # the traces of this variant are given to others, and shown
    return table if unit.name == "trace" else table.drop(columns="trace")


def _model(places: Places, variant: str, seed: int) -> TraceModel:
    return load_model(places.model(variant, seed), ablation=True)


def _traces(study: Study, places: Places, unit: Unit) -> None:
    params, out = study.traces[_short(unit)], places.work / "traces" / _short(unit)
    _step(places, "route", params.route, out / "routes", dataset=places.dataset)
    written = out / "written"
    _step(places, "synthesize", params.synthesize, written, dataset=places.dataset, routes=out / "routes")
    _step(places, "filter", params.filter, out / "kept", dataset=places.dataset, traces=written)


def _backbone(study: Study, places: Places, unit: Unit) -> None:
    name = _short(unit)
    _step(places, "backbone", study.backbones[name], places.backbone(name), dataset=places.backbone_data)


def _wording(study: Study, places: Places, unit: Unit) -> "pd.DataFrame":
    fields = read_fields(Layout(places.dataset), study.pairs(transfer=False), prompt_index=-1)
    return wording({name: _model(places, name, unit.seed) for name in ("trace", "encoder")}, fields)


def _counterfactual(study: Study, places: Places, unit: Unit) -> "pd.DataFrame":
    fields = read_fields(Layout(places.dataset), study.pairs(transfer=False))
    return counterfactuals(_model(places, "trace", unit.seed), fields, _own(places, unit), seed=unit.seed)


def _candidates(study: Study, places: Places, unit: Unit) -> "pd.DataFrame":
    fields = read_fields(Layout(places.dataset), study.pairs(transfer=False))
    return candidate_side(_model(places, "trace", unit.seed), fields, places.kept(CHAIN))


def _two_stage(study: Study, places: Places, unit: Unit) -> "pd.DataFrame":
    fields = read_fields(Layout(places.dataset), study.pairs(transfer=False))
    encoders = {name: _model(places, name, unit.seed) for name in ("encoder", "encoder-on-traces")}
    return two_stage(encoders, fields, _own(places, unit))


def _own(places: Places, unit: Unit) -> "pd.DataFrame":
    """What the variant `trace` wrote and found with this seed."""
    import pandas as pd

    return pd.read_parquet(Unit("train", "trace", unit.seed).table(places.results))


WAYS: dict[Kind, Callable[[Study, Places, Unit], "pd.DataFrame | None"]] = {
    "train": _train,
    "traces": _traces,
    "backbone": _backbone,
    "wording": _wording,
    "counterfactual": _counterfactual,
    "candidates": _candidates,
    "two-stage": _two_stage,
}


def prepare(study: Study, places: Places) -> None:
    """Cut the study's data out of the chain's; done once."""
    from trace_retriever.experiments import corpus

    if places.dataset.exists():
        return
    with atomic_directory(places.dataset) as out:
        corpus.cut(
            places.backbone_data,
            out,
            train=study.data.train_pairs,
            test=study.pairs(transfer=True),
            sizes=study.data.sizes,
        )
    with atomic_directory(places.kept(CHAIN)) as out:
        corpus.cut_traces(places.chain / "data/kept", out, places.dataset)
        corpus.write_candidate_traces(places.dataset, out)
