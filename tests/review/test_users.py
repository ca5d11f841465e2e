import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.review.made import PASSWORD

from trace_retriever.cli import main
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.review.users import Users

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def users(tmp_path: Path) -> Users:
    found = Users(tmp_path / "private/users.json")
    found.add("ada", PASSWORD)
    return found


def test_the_file_holds_no_secret_and_is_its_owners(users: Users) -> None:
    token = users.add_token("ada", 1, NOW)
    content = users.path.read_text()
    assert "$argon2id$" in content
    assert PASSWORD not in content
    assert token not in content
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600


def test_only_the_right_password_of_a_known_user_is_right(users: Users) -> None:
    assert users.check("ada", PASSWORD)
    assert not users.check("ada", PASSWORD + " ")
    assert not users.check("bob", PASSWORD)
    assert not users.check("ada", "")
    users.remove("ada")
    assert not users.check("ada", PASSWORD)


def test_a_token_is_its_users_until_it_expires_or_goes(users: Users) -> None:
    token = users.add_token("ada", 1, NOW)
    assert users.holder(token, NOW) == "ada"
    assert users.holder(token + "x", NOW) is None
    assert users.holder("", NOW) is None
    assert users.holder(token, NOW + timedelta(days=1)) is None
    users.remove_tokens("ada")
    assert users.holder(token, NOW) is None


def test_another_password_takes_the_tokens_away(users: Users) -> None:
    token = users.add_token("ada", 1, NOW)
    users.add("ada", PASSWORD + "!")
    assert users.holder(token, NOW) is None


@pytest.mark.parametrize(("name", "password"), [("ada", "short"), ("a b", PASSWORD), ("ada", "x" * 1025)])
def test_poor_passwords_and_names_are_refused(users: Users, name: str, password: str) -> None:
    with pytest.raises(ConfigError):
        users.add(name, password)


@pytest.mark.parametrize("content", ["{", '{"users": {"ada": {"pasword": "x"}}}', "[]"])
def test_a_broken_file_lets_nobody_in(users: Users, content: str) -> None:
    users.path.write_text(content)
    with pytest.raises(DataError, match="restore the file"):
        Users(users.path).check("ada", PASSWORD)


def test_the_commands_keep_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "review.yaml").write_text(f"users: {tmp_path / 'users.json'}\n")
    settings = ["--settings", str(tmp_path / "review.yaml")]
    monkeypatch.setenv("TRACE_REVIEW_PASSWORD", PASSWORD)
    main(["review", "add-user", "ada", *settings])
    main(["review", "add-token", "ada", *settings])
    token = capsys.readouterr().out.split()[-1]
    users = Users(tmp_path / "users.json")
    assert users.check("ada", PASSWORD)
    assert users.holder(token, datetime.now(UTC)) == "ada"
    main(["review", "remove-tokens", "ada", *settings])
    main(["review", "remove-user", "ada", *settings])
    assert not users.check("ada", PASSWORD)
    with pytest.raises(SystemExit):
        main(["review", "remove-user", "ada", *settings])
    assert "no user 'ada'" in capsys.readouterr().err


def test_the_page_does_not_listen_to_a_network_in_the_clear(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["review", "--host", "0.0.0.0"])
    assert "without https" in capsys.readouterr().err
