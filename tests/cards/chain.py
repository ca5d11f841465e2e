"""A small chain up to registration: a model directory, its evaluation, validation and passed verdict."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tests.gates.records import records, write_evaluation, write_validation

from trace_retriever.config.gate import GateConfig
from trace_retriever.config.register import RegisterConfig
from trace_retriever.io.files import digest_tree, write_json
from trace_retriever.runner import run_step

RATES = {"mojicap_task0": 0.9, "mojihop_task1": 0.8, "mojiedit_task7": 0.7}
BUDGET = {
    "threshold": 0.125,
    "limit": 8.0,
    "cost": {"base": 0.0, "token": 1.0, "unit": "tokens"},
    "split": "val",
    "expected": {"headline": 0.8, "reasoning_rate": 0.5, "trace_tokens": 7.5, "cost": 7.5},
}
PARTS = ("model", "evaluation", "verdict", "validation")


def write_model(folder: Path) -> Path:
    """Write a directory that looks like a trained model's; returns it."""
    folder.mkdir(parents=True)
    save_file({"weight": np.arange(6, dtype=np.float32)}, folder / "model.safetensors")
    write_json(folder / "config.json", {"model_type": "qwen2_5_vl"})
    write_json(folder / "trace.json", {"kind": "trace", "max_trace_tokens": 64})
    (folder / "chat_template.jinja").write_text("{{ messages }}\n")
    return folder


def write_chain(root: Path, config: GateConfig | None = None) -> Path:
    """Write all parts below `root` and run the gate over them; returns `root`."""
    model = root / "model" if (root / "model").exists() else write_model(root / "model")
    systems = ("auto", "budget", "always", "oracle")
    frames = [records(system, RATES) for system in systems] if config else [records("auto", RATES)]
    frames.append(records("never", RATES | {"mojihop_task1": 0.2}))
    write_evaluation(root / "evaluation", *frames, model=digest_tree(model), budget=BUDGET)
    write_validation(root / "validation")
    inputs = {name: root / name for name in ("evaluation", "validation")}
    run_step(
        "gate",
        config or GateConfig(),
        inputs=inputs,
        out=root / "verdict",
        report=root / "gate report",
        work_root=root / "work",
    )
    return root


def register_chain(root: Path) -> Path:
    """Register what lies below `root`; returns the registered directory."""
    inputs = {name: root / name for name in PARTS}
    out = root / "registered"
    run_step(
        "register",
        RegisterConfig(version="1.2.3"),
        inputs=inputs,
        out=out,
        report=root / "report",
        work_root=root / "work",
    )
    return out
