"""The model card, in the Hugging Face manner: front matter for machines, then words for people."""

from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from trace_retriever.cards.figures import card_rows
from trace_retriever.config.register import RegisterConfig
from trace_retriever.model.settings import RouteSetting


def model_card(
    config: RegisterConfig, evaluation: Path, verdict: dict[str, Any], route: RouteSetting | None = None
) -> str:
    """Write a card (Markdown).

    Args:
        config: name, version, licence, words about model and data.
        evaluation: the evaluation's directory; the card's figures are read from it.
        verdict: the content of `verdict.json`.
        route: when the model reasons; None leaves it to its own first token.
    """
    system, pool = verdict["policy"]["system"], verdict["policy"]["pool"]
    others, rows = card_rows(evaluation, system, pool)
    environment = Environment(  # Markdown, and nothing in it comes from a stranger
        loader=PackageLoader("trace_retriever.cards"),
        autoescape=False,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("card.md.j2").render(
        front=yaml.safe_dump(_front_matter(config, rows, system, pool), sort_keys=False, allow_unicode=True),
        config=config,
        system=system,
        pool=pool,
        others=others,
        rows=rows,
        average=verdict["headline"]["average"],
        averages=[_mean([row["others"][place] for row in rows]) for place in range(len(others))],
        verdict=verdict,
        route=route,
    )


def _mean(figures: list[float | None]) -> float | None:
    """The plain mean; None when a pair is missing, since the mean of other pairs would not compare."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) / len(known) if len(known) == len(figures) else None


def _front_matter(
    config: RegisterConfig, rows: list[dict[str, Any]], system: str, pool: str
) -> dict[str, Any]:
    results = [
        {
            "task": {"type": "feature-extraction", "name": "universal multimodal retrieval"},
            "dataset": {"type": row["pair"], "name": f"{row['pair']}, {pool} pool, test"},
            "metrics": [
                {"type": "hit_rate", "name": f"headline hit@k, {system}", "value": round(row["value"], 4)}
            ],
        }
        for row in rows
    ]
    return {
        "language": "en",
        "license": config.license,
        "library_name": "transformers",
        "pipeline_tag": "feature-extraction",
        "tags": ["retrieval", "multimodal", "reasoning", "trace"],
        "version": config.version,
        "model-index": [{"name": config.name, "results": results}],
    }
