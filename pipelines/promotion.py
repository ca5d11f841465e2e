"""Pipeline `promotion`: an approved version takes over the traffic in steps, or goes back."""

from components.approved.component import approved as approved_step
from components.canary.component import canary as canary_step
from components.publish.component import publish as publish_step
from components.pull.component import pull as pull_step
from components.report.component import report as report_step
from components.rollout.component import rollout as rollout_step
from components.verify.component import verify as verify_step
from kfp import dsl, kubernetes

from pipelines.settings import ROOT, on
from trace_retriever.config.deploy import load_deploy
from trace_retriever.config.promotion import load_promotion
from trace_retriever.rollout.arguments import as_argument

SERVING = load_deploy(ROOT / "deploy/serving.yaml")
RULES = load_promotion(ROOT / "deploy/promotion.yaml")
# Who may deploy is compiled in: no argument of a run changes it.
REGISTRY = as_argument(RULES.registry)
ROLLOUT, SERVED = as_argument(RULES.rollout), as_argument(SERVING)


def acting(step: str, task: dsl.PipelineTask) -> dsl.PipelineTask:
    """A task that changes the world: never taken from a cache, and told where the registry is."""
    secret = SERVING.registry
    kubernetes.use_secret_as_env(
        task, secret_name=secret.secret, secret_key_to_env={secret.key: secret.variable}
    )
    return on(step, task).set_caching_options(False)


@dsl.pipeline(
    name="promotion",
    description="Verify an approved version, serve it as canary, check it, and roll it out in steps or back.",
)
def promotion(
    model: str,
    manifest: str,
    name: str,
    version: str,
    rollout: dict = ROLLOUT,
    serving: dict = SERVED,
) -> None:
    """`model` is the version's md5 in the DVC remote, `manifest` the digest that was approved."""
    what = {"name": name, "version": version, "manifest": manifest, "rules": REGISTRY}
    last = on("report", report_step())
    with dsl.ExitHandler(last, name="chain"):
        allowed = acting("approved", approved_step(**what))
        registered = on("pull", pull_step(digest=model), "pull the version").after(allowed).outputs["out"]
        checked = on("verify", verify_step(model=registered, manifest=manifest))
        stored = acting("publish", publish_step(model=registered, manifest=manifest, serving=serving))
        tried = acting("canary", canary_step(model=registered, rollout=rollout, serving=serving, **what))
        steps = acting("rollout", rollout_step(rollout=rollout, serving=serving, **what))
        steps.after(tried.after(stored.after(checked)))
