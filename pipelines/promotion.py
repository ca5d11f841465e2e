"""Pipeline `promotion`, as far as it goes without serving: the approved version is fetched and checked."""

from components.pull.component import pull as pull_step
from components.report.component import report as report_step
from components.verify.component import verify as verify_step
from kfp import dsl

from pipelines.settings import on


@dsl.pipeline(
    name="promotion",
    description="Pull an approved version by digest and check each file of it; fails where one byte differs.",
)
def promotion(
    model: str,
    manifest: str,
) -> None:
    """`model` is the version's md5 in the DVC remote, `manifest` the digest that was approved."""
    last = on("report", report_step())
    with dsl.ExitHandler(last, name="chain"):
        registered = on("pull", pull_step(digest=model), "pull the version").outputs["out"]
        on("verify", verify_step(model=registered, manifest=manifest))
