"""The process that pre-trains the tiny backbone; started by `training.launch`."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from trace_retriever.config.backbone import BackboneConfig
from trace_retriever.training.process import held, run_worker

if TYPE_CHECKING:
    from trace_retriever.training.distributed import Group


class Job(BaseModel):
    """What to pre-train: the step's params, the made data set, and where work and curves go."""

    config: BackboneConfig
    dataset: Path
    work: Path
    curves: Path


def main(job_file: Path) -> None:
    """Pre-train as one process of the group; leaves `best.safetensors` in the work directory."""
    from trace_retriever.training.distributed import join

    job = Job.model_validate_json(job_file.read_bytes())
    group = join()
    if not group.leads:
        pretrain(job, group)
        return
    with held(job.work):  # a killed run's process may not be gone yet
        pretrain(job, group)


def pretrain(job: Job, group: "Group") -> None:
    """Fit the tiny model to the lessons."""
    from trace_retriever.openmoji import pretraining
    from trace_retriever.openmoji.world import World
    from trace_retriever.training.loop import Rhythm, fit
    from trace_retriever.training.zero import Optimisation

    settings = job.config.pretraining
    world = World.load(job.dataset)
    model = pretraining.new_backbone(job.config, world)
    classroom = pretraining.Classroom(model, world, pretraining.picture_side(job.config))
    fit(
        pretraining.GenerativeObjective(
            model.network, pretraining.name_ids(model, world), settings.name_weight
        ),
        pretraining.Curriculum(classroom, settings, job.config.seed, group),
        Optimisation(steps=settings.steps, batch=settings.batch, lr=settings.lr, warmup=settings.warmup),
        Rhythm(checkpoint=settings.checkpoint_every),
        group,
        job.work,
        curves=job.curves,
        what="pre-training",
    )


if __name__ == "__main__":
    run_worker(main)
