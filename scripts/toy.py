"""The sizes of the smallest chain that still passes everything on: tests and the image's check run it."""

from pathlib import Path

PROFILE = Path(__file__).parents[1] / "profiles/tiny.yaml"
# Smaller still than that profile: what is learnt does not matter here, only what is passed on.
TOY = (
    "prepare.openmoji.pictures=14",
    "prepare.openmoji.train_simple=10",
    "prepare.openmoji.train_hops=20",
    "prepare.openmoji.train_relations=20",
    "prepare.openmoji.train_edits=20",
    "prepare.openmoji.val=3",
    "prepare.openmoji.test=5",
    "backbone.pretraining.steps=3",
    "backbone.pretraining.warmup=1",
    "backbone.pretraining.exam=2",
    "backbone.pretraining.processes=1",
    "train.steps=2",
    "train.warmup=1",
    "train.batch=8",
    "train.processes=1",
    "train.validation.every=2",
    "train.validation.queries=1",
    "embed.max_trace_tokens=4",
    "evaluate.examples=2",
)
