"""Step `backbone`: what TRACE starts from, and all variants with it."""

from pathlib import Path
from typing import Any

from trace_retriever.config.backbone import BackboneConfig
from trace_retriever.errors import CheckpointError, ConfigError
from trace_retriever.io.files import write_atomic
from trace_retriever.step import Metrics


def backbone(config: BackboneConfig, *, dataset: Path, out: Path, report: Path, work: Path) -> Metrics:
    """Fill `out` with a backbone: a checked checkpoint, or a tiny model pre-trained on the made data set.

    Args:
        config: the params section.
        dataset: the M-BEIR root; a tiny backbone needs a made one.
        out, report, work: see `Step`.

    Returns:
        For a tiny model its parameters and exam; for a checkpoint its type, licence and digests.

    Raises:
        CheckpointError: the checkpoint is not acceptable, or the tiny model failed its exam.
        ConfigError: `checkpoint` is asked for and not named.
    """
    if config.source == "checkpoint":
        return _adopted(config, out)
    return _pretrained(config, dataset, out, report, work)


def _adopted(config: BackboneConfig, out: Path) -> Metrics:
    from trace_retriever.model.adopt import adopt_checkpoint
    from trace_retriever.model.settings import Settings

    if config.checkpoint is None:
        raise ConfigError("no checkpoint named", where="backbone.checkpoint", remedy="set it to a directory")
    settings = Settings(
        max_prompt_tokens=config.max_prompt_tokens,
        max_trace_tokens=config.max_trace_tokens,
        max_pixels=config.max_pixels,
    )
    return adopt_checkpoint(Path(config.checkpoint), out, settings, config.licences)


def _pretrained(config: BackboneConfig, dataset: Path, out: Path, report: Path, work: Path) -> Metrics:
    from trace_retriever.openmoji import pretraining
    from trace_retriever.openmoji.pretraining_worker import Job
    from trace_retriever.openmoji.world import World
    from trace_retriever.training.launch import launch
    from trace_retriever.training.loop import BEST

    world = World.load(dataset)  # before any process is started
    job = Job(
        config=config, dataset=dataset.resolve(), work=work.resolve(), curves=(report / "curves").resolve()
    )
    write_atomic(work / "job.json", job.model_dump_json())
    launch(
        "trace_retriever.openmoji.pretraining_worker",
        work.resolve() / "job.json",
        processes=config.pretraining.processes,
    )
    model = pretraining.new_backbone(config, world)
    pretraining.load_weights(model.network, work / BEST)
    model.save(out)
    classroom = pretraining.Classroom(model, world, pretraining.picture_side(config))
    exam = pretraining.examine(classroom, config.pretraining.exam, config.seed)
    _require_recall(config, exam, work)
    return _metrics(model.network, exam)


def _metrics(network: Any, exam: dict[str, float]) -> Metrics:
    return {"parameters": sum(weight.numel() for weight in network.parameters()), "exam": exam}


def _require_recall(config: BackboneConfig, exam: dict[str, float], work: Path) -> None:
    """Looking things up in its own description is what predicts that traces will be right."""
    if exam["recall_seen"] < config.pretraining.min_recall:
        raise CheckpointError(
            f"the tiny backbone looks up {exam['recall_seen']:.0%} of what it sees; "
            f"at least {config.pretraining.min_recall:.0%} is asked for",
            where=work,
            remedy="raise backbone.pretraining.steps, or lower min_recall",
        )
