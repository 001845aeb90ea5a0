"""The README is true: its commands run, its tables are those of the code, its addresses answer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from rsm_graph import cli, formats
from rsm_graph.settings import Settings
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
COMMANDS = [block.strip() for block in BLOCKS]
INSTALLING = [command for command in COMMANDS if "pip install" in command]
ASKING = [command for command in COMMANDS if command.startswith("curl")]
OTHERS = [command for command in COMMANDS if command not in INSTALLING + ASKING]


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    arguments = ["bash", "-euo", "pipefail", "-c", command]
    environment = {"PATH": path, "HOME": str(cwd)}
    return subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, timeout=180, check=False)


def test_the_first_screen_has_the_two_commands() -> None:
    first_screen = "\n".join(README.splitlines()[:30])
    assert "python -m pip install . && rsm-graph serve" in first_screen
    assert "python -m pip install -e '.[test]' && python -m pytest" in first_screen


def test_ci_runs_the_two_commands_of_the_first_screen() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert len(INSTALLING) == 2
    assert "grep -m1 -F 'python -m pip install -e' README.md" in script
    assert "grep -m1 -F 'python -m pip install .' README.md" in script


@pytest.mark.parametrize("command", OTHERS, ids=lambda command: command.splitlines()[0][:60])
def test_a_command_runs(command: str, tmp_path: Path) -> None:
    for name in re.findall(r"[\w/.-]+\.(?:trig|ttl|csv)\b", command):
        example = re.search(
            rf"^```(?:turtle|trig|csv)\n# {re.escape(name)}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE
        )
        if example:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(example[1], encoding="utf-8")
    ended = shell(command, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()


@pytest.mark.parametrize("command", ASKING, ids=lambda command: command.splitlines()[0][:60])
def test_a_question_is_answered(command: str, server: httpx.Client, tmp_path: Path) -> None:
    ended = shell(
        command.replace("http://127.0.0.1:8000", str(server.base_url).rstrip("/")).replace("curl -s", "curl -sf"),
        tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) > 1


def test_the_addresses_answer(server: httpx.Client) -> None:
    addresses = {path.rstrip(".,)") for path in re.findall(r"`(/[a-z][^`{}\s]*)`", README)}
    assert addresses
    for path in sorted(addresses):
        answer = server.get(path, follow_redirects=True)
        assert answer.status_code in (200, 400), (path, answer.status_code)


def test_the_dockerfile_is_clean(tmp_path: Path) -> None:
    dockerfile = re.search(r"^```dockerfile\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert dockerfile
    (tmp_path / "Dockerfile").write_text(dockerfile[1], encoding="utf-8")
    ended = shell("hadolint Dockerfile", tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_settings_table_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `--([a-z-]+)` \| `(RSM_GRAPH_[A-Z_]+)` \| (.*?) \| (.*?) \|$", README, re.MULTILINE)
    assert rows == [row[:4] for row in settings_rows()]


def test_every_setting_is_an_option_of_a_command() -> None:
    pending: list[Any] = [typer.main.get_command(cli.app)]
    options = set()
    while pending:
        command = pending.pop()
        options |= {option for parameter in command.params for option in parameter.opts}
        pending += getattr(command, "commands", {}).values()
    assert {f"--{row[0]}" for row in settings_rows()} <= options


def settings_rows() -> list[tuple[str, str, str, str]]:
    """The rows of the README's settings table, from the class; printing them is how the table is made anew."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default_factory else field.default
        shown = (
            f"`{default}`"
            if default not in ("", (), None)
            else {"queries_at_once": "one a processor, at least 2"}.get(name, "")
        )
        rows.append((name.replace("_", "-"), f"RSM_GRAPH_{name.upper()}", shown, field.description or ""))
    return rows


def test_the_formats_are_those_of_the_code() -> None:
    for fmt in formats.TRIPLES + formats.QUADS:
        assert f"`.{fmt.name}`" in README or f"rsm-graph.{fmt.name}`" in README
