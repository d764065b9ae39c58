"""The file ``.env`` of the command line and of apps in scripts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet_q import FleetQ, InvalidInput, Settings
from fleet_q.adapters.snowflake.connection import connection_parameters
from fleet_q.services.app.env_file import EMPTY
from fleet_q.services.cli import env_file
from tests.services.conftest import Command

Queue = Callable[[bytes], tuple[int, str, str]]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove the variables that a file has set."""
    before = dict(os.environ)
    monkeypatch.setattr(env_file, "_file", EMPTY)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def queue(fleet_q: Command, tmp_path: Path) -> Queue:
    """Run ``fleet-q queue`` with this ``.env``."""

    def queue(content: bytes) -> tuple[int, str, str]:
        (tmp_path / ".env").write_bytes(content)
        return fleet_q("queue")

    return queue


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            b"# ours\n\n  \nFLEET_Q_MAX_PARALLELISM=many\n",
            "FLEET_Q_MAX_PARALLELISM='many': Expected `int`, got `str` (.env line 4)",
        ),
        (
            b"A=1\r\nFLEET_Q_HEARTBEAT_INTERVAL=40\r\n",
            "FLEET_Q_DEAD_POD_THRESHOLD (60 s) must be at least twice FLEET_Q_HEARTBEAT_INTERVAL"
            " (40 s), or one late heartbeat declares a pod dead (.env line 2)",
        ),
        (
            b"FLEET_Q_MAX_PARALELISM=8\n",
            "there is no setting FLEET_Q_MAX_PARALELISM; did you mean FLEET_Q_MAX_PARALLELISM?"
            " (.env line 1)",
        ),
        (b"A=1\nFLEET_Q_STORE q.db\n", ".env line 2: FLEET_Q_STORE is not written as NAME=value"),
        (b"A=1\n\nFLEET_Q_STORE\n", ".env line 3: FLEET_Q_STORE is not written as NAME=value"),
        (b"export FLEET_Q_STORE", ".env line 1: FLEET_Q_STORE is not written as NAME=value"),
        (b'A=1\nSNOWFLAKE_PASSWORD="hush\n',
         ".env line 2: SNOWFLAKE_PASSWORD is not written as NAME=value"),
        (b"FLEET_Q_STORE=a\0b\n",
         ".env line 1: the value of FLEET_Q_STORE contains a NUL; remove it"),
        (b"A=1\nB=caf\xe9\n", ".env line 2 is not UTF-8; save the file as UTF-8"),
        ("A=1\n".encode("utf-16"), ".env is UTF-16; save it as UTF-8"),
    ],
)  # fmt: skip
def test_error_names_the_file_and_the_line(queue: Queue, content: bytes, says: str) -> None:
    assert queue(content) == (1, "", f"fleet-q: {says}\n")


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf%s\r\n", b"if true\n%s", b"\n\nexport %s\nX"])
def test_file_with_byte_order_mark_crlf_export_or_other_lines_is_read(
    queue: Queue, content: bytes, tmp_path: Path
) -> None:
    code, _, err = queue(content % b"FLEET_Q_STORE=sqlite:///other.db")
    assert (code, f"no store at {tmp_path}/other.db" in err) == (1, True)


@pytest.mark.parametrize("line", [b"NAME", b"export NAME", b"if true", b"NAME: value"])
def test_other_line_that_is_not_an_assignment_is_skipped_with_a_warning(
    queue: Queue, line: bytes
) -> None:
    _, _, err = queue(b"A=1\n\n%s\nFLEET_Q_STORE=sqlite:///other.db\n" % line)
    first, second = err.splitlines()
    assert first == "fleet-q: .env line 3 is not NAME=value; skipped"
    assert "other.db" in second


def test_environment_overrides_the_file(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_Q_STORE", "sqlite:///mine.db")
    monkeypatch.setenv("FLEET_Q_MAX_PARALLELISM", "none")
    _, _, err = queue(b"FLEET_Q_STORE=sqlite:///other.db\nFLEET_Q_MAX_PARALLELISM=8\n")
    assert err == "fleet-q: FLEET_Q_MAX_PARALLELISM='none': Expected `int`, got `str`\n"
    assert os.environ["FLEET_Q_STORE"] == "sqlite:///mine.db"


def test_directory_is_an_error_unless_it_is_a_virtual_environment(
    fleet_q: Command, tmp_path: Path
) -> None:
    (tmp_path / ".env").mkdir()
    says = "fleet-q: .env is a directory; it must be a file of NAME=value lines\n"
    assert fleet_q("queue") == (1, "", says)
    (tmp_path / ".env" / "pyvenv.cfg").touch()
    assert "no store at" in fleet_q("queue")[2]


def test_unreadable_file_is_an_error_that_names_it(
    fleet_q: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").symlink_to(".env")  # unreadable for root too
    code, _, err = fleet_q("queue")
    assert (code, err.startswith("fleet-q: .env cannot be read: "), err.count("\n")) == (1, True, 1)


def test_app_in_a_script_has_the_settings_of_the_file_where_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(
        "OTHER=1\nNAME=jobs\nFLEET_Q_STORE=sqlite:///${NAME}.db\nFLEET_Q_MAX_RETRIES=7\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEET_Q_MAX_RETRIES", "2")
    app = FleetQ()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert app.where == f"sqlite:///{tmp_path}/jobs.db"
    assert app.settings.max_retries == 2
    assert "FLEET_Q_STORE" not in os.environ
    assert "OTHER" not in os.environ
    assert FleetQ().settings.store == Settings().store


def test_app_made_with_settings_does_not_read_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("FLEET_Q_MAX_RETRIES=many\n")
    monkeypatch.chdir(tmp_path)
    assert FleetQ("memory://", settings=Settings()).settings == Settings()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("A=1\nFLEET_Q_MAX_RETRIES=many\n", "FLEET_Q_MAX_RETRIES='many': Expected `int`, got"),
        ("A\nFLEET_Q_STORE sqlite\n", "FLEET_Q_STORE is not written as NAME=value"),
    ],
)
def test_error_of_an_app_in_a_script_names_the_file_and_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, says: str
) -> None:
    (tmp_path / ".env").write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput) as refused:
        FleetQ().submit({})
    assert says in str(refused.value)
    assert f"{tmp_path}/.env line 2" in str(refused.value)


def test_app_in_a_script_signs_in_to_snowflake_as_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("SNOWFLAKE_ACCOUNT=ours\nSNOWFLAKE_USER=me\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SNOWFLAKE_USER", "somebody")
    app = FleetQ()
    assert app.where == "snowflake://"
    parameters = connection_parameters("snowflake://", tag="", env=app._connection.environment)
    assert (parameters["account"], parameters["user"]) == ("ours", "somebody")
