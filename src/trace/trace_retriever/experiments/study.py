"""The study's definition: variants of one training, and the data and backbones behind them (`study.yaml`)."""

from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from trace_retriever.config.backbone import BackboneConfig
from trace_retriever.config.base import Section
from trace_retriever.config.filter import FilterConfig
from trace_retriever.config.route import RouteConfig
from trace_retriever.config.synthesize import SynthesizeConfig
from trace_retriever.config.train import TrainConfig
from trace_retriever.errors import ConfigError
from trace_retriever.io.jsonl import describe

CHAIN = "chain"


class DataParams(Section):
    """Which part of the chain's data set is used."""

    train_pairs: list[str] = Field(min_length=1, description="Pairs that train and are tested.")
    transfer_pairs: list[str] = Field([], description="Pairs that are tested and never trained on.")
    sizes: dict[str, int] = Field(description="Most queries of a pair.")


class TraceParams(Section):
    """Traces made otherwise than the chain's: params of the steps that make them."""

    route: RouteConfig = RouteConfig()
    synthesize: SynthesizeConfig = SynthesizeConfig(blind_queries=0)
    filter: FilterConfig = FilterConfig()


class Variant(Section):
    """One way of training.

    Attributes:
        seeds: it is trained with the seeds 1 to this.
        changes: what it changes of the study's `base`, nested as `trace train`'s params.
        backbone, traces: names of the study's.
        transfer: whether it is tested on the pairs that it never saw, too.
    """

    seeds: int = Field(ge=1)
    changes: dict[str, Any] = Field(alias="set")
    backbone: str = CHAIN
    traces: str = CHAIN
    transfer: bool = False


class Study(Section):
    """All of it."""

    data: DataParams
    base: dict[str, Any]
    backbones: dict[str, BackboneConfig] = Field({})
    traces: dict[str, TraceParams] = Field({})
    variants: dict[str, Variant]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, variant in self.variants.items():
            self.config(name, 1)
            for kind, known in (("backbone", self.backbones), ("traces", self.traces)):
                if (wanted := getattr(variant, kind)) not in {CHAIN, *known}:
                    raise ValueError(f"variant {name}: there is no {kind} {wanted!r}")
        return self

    def config(self, variant: str, seed: int) -> TrainConfig:
        """The params that a variant trains with."""
        params = merged(self.base, self.variants[variant].changes)
        return TrainConfig.model_validate({**params, "seed": seed}, strict=False)

    def pairs(self, *, transfer: bool) -> list[str]:
        """The pairs that are tested."""
        return [*self.data.train_pairs, *(self.data.transfer_pairs if transfer else [])]


def toy(study: Study) -> Study:
    """The same variants at a size that shows that everything runs, and nothing else: one seed, six "
    "updates."""
    changes = {
        "data": {"sizes": {"train": 40, "test": 4}},
        "base": {"steps": 6, "batch": 12, "warmup": 1},
        "backbones": {name: {"pretraining": {"steps": 6, "batch": 8, "exam": 4}} for name in study.backbones},
        "variants": {name: {"seeds": 1} for name in study.variants},
    }
    content = study.model_dump(mode="json", by_alias=True)
    return Study.model_validate(merged(content, changes), strict=False)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Nested params with some of them changed."""
    found = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


def read_study(path: Path) -> Study:
    """Read a study's definition.

    Raises:
        ConfigError: the file is missing, is not YAML, or breaks the schema; names the key and the value.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Study.model_validate(content, strict=False)
    except FileNotFoundError:
        raise ConfigError("there is no such study", where=path) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {error}", where=path) from None
    except ValidationError as error:
        raise ConfigError(describe(error), where=path) from None
