"""Making a Qwen-VL checkpoint on disk a backbone: checked, `<|emb|>` added, weights linked and not copied."""

import re
from pathlib import Path
from typing import Any

import yaml

from trace_retriever.errors import CheckpointError
from trace_retriever.io.files import read_json, write_json
from trace_retriever.model.checkpoint import check_checkpoint, weight_digests, weight_files
from trace_retriever.model.settings import EMB_TOKEN, Settings

COPIED = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "chat_template.json",
    "chat_template.jinja",
    "model.safetensors.index.json",
    "LICENSE",
    "README.md",
)


def adopt_checkpoint(
    source: Path, out: Path, settings: Settings, licences: tuple[str, ...]
) -> dict[str, Any]:
    """Make a backbone directory from a local checkpoint.

    Args:
        source: a Qwen2-VL, Qwen2.5-VL or Qwen3-VL directory.
        out: an empty directory; weights are linked into it.
        settings: what the backbone's `trace.json` is to say.
        licences: identifiers accepted in the model card.

    Returns:
        Licence, model type, number of weight files and their digests.

    Raises:
        CheckpointError: see `check_checkpoint`; or the licence is missing or not accepted, or the vocabulary
            has no spare row for `<|emb|>`.
    """
    from transformers import AutoTokenizer

    config = check_checkpoint(source)
    digests = weight_digests(source)
    licence = read_licence(source)
    if licence not in licences:
        raise CheckpointError(
            f"licence {licence!r} is not among those accepted: {', '.join(licences)}",
            where=source / "README.md",
            remedy="add it to backbone.licences once your counsel agrees",
        )
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    _check_template(tokenizer, source)
    _add_emb_token(tokenizer, config, source)
    tokenizer.save_pretrained(out)
    for name in COPIED:
        if (source / name).is_file():
            (out / name).write_bytes((source / name).read_bytes())
    for file in weight_files(source):
        (out / file.name).symlink_to(file.resolve())
    settings.save(out)
    write_json(out / "source.json", {"licence": licence, "weights": digests})
    return {"licence": licence, "model_type": config["model_type"], "weights": digests}


def read_licence(path: Path) -> str | None:
    """The licence that a model card's front matter names, in lower case; None where there is none.

    A licence that has no identifier of its own stands there as `other`, with its name beside it.
    """
    card = path / "README.md"
    if not card.is_file():
        return None
    front = re.match(r"\A---\n(.*?)\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    try:
        fields = yaml.safe_load(front.group(1)) if front else {}
    except yaml.YAMLError as error:
        raise CheckpointError(f"the model card's front matter is not YAML: {error}", where=card) from None
    if not isinstance(fields, dict):
        return None
    licence = fields.get("license")
    if licence == "other":
        licence = fields.get("license_name", licence)
    return str(licence).lower() if licence else None


def _check_template(tokenizer: Any, source: Path) -> None:
    """Give the tokenizer its chat template, which older checkpoints keep in a file of the processor's."""
    beside = source / "chat_template.json"
    if tokenizer.chat_template is None and beside.is_file():
        content = read_json(beside)
        tokenizer.chat_template = content.get("chat_template") if isinstance(content, dict) else None
    if not tokenizer.chat_template:
        raise CheckpointError(
            "no chat template", where=source, remedy="use an instruction-tuned checkpoint, and copy all of it"
        )


def _add_emb_token(tokenizer: Any, config: dict[str, Any], source: Path) -> None:
    """Qwen's vocabularies have rows that no token uses: `<|emb|>` takes one, so no weight changes shape."""
    tokenizer.add_special_tokens({"extra_special_tokens": [EMB_TOKEN]}, replace_extra_special_tokens=False)
    rows = {**config, **config.get("text_config", {})}.get("vocab_size")
    if rows is None:
        raise CheckpointError(
            "no vocab_size", where=source / "config.json", remedy="copy the checkpoint again"
        )
    if tokenizer.convert_tokens_to_ids(EMB_TOKEN) >= rows:
        raise CheckpointError(
            f"no spare row for {EMB_TOKEN}: {len(tokenizer)} tokens, {rows} rows",
            where=source,
            remedy="use a checkpoint with a padded vocabulary, as Qwen publishes them",
        )
