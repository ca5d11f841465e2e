"""Pipeline `training`: from data to a registered candidate. It never promotes: a person decides."""

from components.backbone.component import backbone as backbone_step
from components.embed.component import embed as embed_step
from components.evaluate.component import evaluate as evaluate_step
from components.filter.component import filter as filter_step
from components.gate.component import gate as gate_step
from components.prepare.component import prepare as prepare_step
from components.pull.component import pull as pull_step
from components.register.component import register as register_step
from components.report.component import report as report_step
from components.route.component import route as route_step
from components.synthesize.component import synthesize as synthesize_step
from components.train.component import train as train_step
from components.validate.component import validate as validate_step
from kfp import dsl

from pipelines.settings import PARAMS, PARTS, on


@dsl.pipeline(
    name="training",
    description="Data, backbone, traces, training, vectors, figures, verdict; what passes is a candidate.",
)
def training(
    prepare: dict = PARAMS["prepare"],
    backbone: dict = PARAMS["backbone"],
    route: dict = PARAMS["route"],
    synthesize: dict = PARAMS["synthesize"],
    filter: dict = PARAMS["filter"],
    validate: dict = PARAMS["validate"],
    train: dict = PARAMS["train"],
    embed: dict = PARAMS["embed"],
    evaluate: dict = PARAMS["evaluate"],
    gate: dict = PARAMS["gate"],
    register: dict = PARAMS["register"],
    parts: list = PARTS,
    champion: str = "",
) -> None:
    """Each parameter is the params section of that name.

    `parts` are shards embedded side by side. `champion` is the md5, in the DVC remote, of the registered
    model that the gate holds the new one against; empty, the gate says that there was none.
    """
    last = on("report", report_step())
    with dsl.ExitHandler(last, name="chain"):
        data = on("prepare", prepare_step(config=prepare)).outputs["out"]
        start = on("backbone", backbone_step(config=backbone, dataset=data)).outputs["out"]
        routes = on("route", route_step(config=route, dataset=data, backbone=start)).outputs["out"]
        traces = on("synthesize", synthesize_step(config=synthesize, dataset=data, routes=routes)).outputs[
            "out"
        ]
        kept = on("filter", filter_step(config=filter, dataset=data, traces=traces, backbone=start)).outputs[
            "out"
        ]
        valid = on(
            "validate", validate_step(config=validate, dataset=data, routes=routes, kept=kept)
        ).outputs["out"]

        models, curves, vectors = {}, {}, {}
        for variant in ("trace", "encoder"):
            trained = train_step(
                config=train,
                dataset=data,
                routes=routes,
                kept=kept,
                validation=valid,
                backbone=start,
                variant=variant,
            )
            models[variant] = on("train", trained, f"train {variant}").outputs["out"]
            curves[variant] = trained.outputs["report"]
            with dsl.ParallelFor(parts, name=f"embed-{variant}") as part:
                shard = embed_step(config=embed, dataset=data, model=models[variant], part=part)
                on("embed", shard, f"embed a part, {variant}")
            whole = embed_step(
                config=embed, dataset=data, model=models[variant], parts=dsl.Collected(shard.outputs["out"])
            )
            vectors[variant] = on("embed", whole, f"embed {variant}").outputs["out"]

        scored = evaluate_step(
            config=evaluate, dataset=data, embeddings=vectors["trace"], baseline=vectors["encoder"]
        )
        figures = on("evaluate", scored).outputs["out"]
        rival = on("pull", pull_step(digest=champion, optional=True), "pull the champion").outputs["out"]
        judged = gate_step(config=gate, evaluation=figures, validation=valid, champion=rival)
        verdict = on("gate", judged).outputs["out"]
        candidate = register_step(
            config=register,
            model=models["trace"],
            evaluation=figures,
            verdict=verdict,
            validation=valid,
            curves=curves["trace"],
        )
        on("register", candidate, "register as candidate")
