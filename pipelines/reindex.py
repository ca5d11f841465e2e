"""Pipeline `reindex`: new candidates into an approved model's vectors; what is known is not encoded again."""

from components.embed.component import embed as embed_step
from components.pull.component import pull as pull_step
from components.report.component import report as report_step
from components.verify.component import verify as verify_step
from kfp import dsl

from pipelines.settings import PARAMS, PARTS, on


@dsl.pipeline(
    name="reindex",
    description="Pull data, a model and its vectors by digest; check the model; encode only what is new.",
)
def reindex(
    dataset: str,
    model: str,
    manifest: str,
    previous: str,
    embed: dict = PARAMS["embed"],
    parts: list = PARTS,
) -> None:
    """`dataset`, `model`, `previous`: md5s of the DVC remote; `manifest`: the digest that was approved."""
    last = on("report", report_step())
    with dsl.ExitHandler(last, name="chain"):
        data = on("pull", pull_step(digest=dataset), "pull the data set").outputs["out"]
        registered = on("pull", pull_step(digest=model), "pull the model").outputs["out"]
        before = on("pull", pull_step(digest=previous), "pull the vectors").outputs["out"]
        checked = on("verify", verify_step(model=registered, manifest=manifest))
        with dsl.ParallelFor(parts, name="embed-new") as part:
            shard = embed_step(config=embed, dataset=data, model=registered, previous=before, part=part)
            on("embed", shard, "embed a part").after(checked)
        whole = embed_step(
            config=embed, dataset=data, model=registered, parts=dsl.Collected(shard.outputs["out"])
        )
        on("embed", whole, "embed")
