from pathlib import Path

import pytest
from tests.contracts.code import ROOT

from trace_retriever.config.promotion import Act, Role, load_promotion
from trace_retriever.errors import ConfigError


def test_the_repository_s_rules_load_and_let_nobody_in_unasked() -> None:
    rules = load_promotion(ROOT / "deploy/promotion.yaml").registry
    assert rules.four_eyes
    assert rules.approvers == 1
    assert rules.roles == {}


def test_a_file_says_who_and_whom_to_tell(tmp_path: Path) -> None:
    file = tmp_path / "promotion.yaml"
    file.write_text(
        """
registry:
  approvers: 2
  gates: [validation, floor]
  roles: {ann@example.org: [requester], ben: [reviewer, deployer], root: [admin]}
  webhooks: [{url: "https://example.org/hook", secret_env: SECRET, events: [promote]}]
"""
    )
    rules = load_promotion(file).registry
    assert rules.roles["ben"] == (Role.REVIEWER, Role.DEPLOYER)
    assert rules.gates == ("validation", "floor")
    assert rules.webhooks[0].events == (Act.PROMOTE,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registry: {approver: 2}", "approver"),
        ("registry: {approvers: 0}", "approvers"),
        ("registry: {approvers: 2, roles: {ben: [reviewer]}}", "roles name 1 who may approve"),
        ("registry: {roles: {ben: [boss]}}", "roles.ben"),
        ("registry: {roles: {'a b': [admin]}}", "names of people"),
        ("registry: {roles: {ann: [reviewer], Ann: [requester]}}", "one person"),
        ("registry: {four_eyes: 'yes'}", "four_eyes"),
        ("registry: {expires_hours: 0}", "expires_hours"),
        ("registry: {gates: some}", "gates"),
        ("registry: {webhooks: [{url: 'http://example.org', secret_env: S}]}", "https://host"),
        ("registry: {webhooks: [{url: 'https://example.org', secret_env: 's3cret!'}]}", "secret_env"),
        ("registry: [", "not valid YAML"),
        ("registry: {expires_hours: 2026-01-01}", "JSON serializable"),
        ("rules: {}", "rules"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "promotion.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_promotion(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="promotion rules not found"):
        load_promotion(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="a folder and not a file"):
        load_promotion(tmp_path)
