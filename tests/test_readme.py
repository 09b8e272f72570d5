"""Every Python block of the documents runs, and every command line in them is one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)


PYTHON = [(path, i) for path in DOCUMENTS for i in range(len(blocks(path, "python")))]


@pytest.mark.parametrize(("path", "i"), PYTHON, ids=[f"{path.name}-{i}" for path, i in PYTHON])
def test_python_blocks_run(path: Path, i: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", blocks(path, "python")[i]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_the_documents_exist_with_their_options(path: Path) -> None:
    from askew.cli.main import app

    lines = [
        line.split("#")[0].split()
        for block in blocks(path, "sh")
        for line in block.splitlines()
        if line.startswith("askew ")
    ]
    for _, command, *rest in lines:
        told = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
        assert told.exit_code == 0, command
        for word in rest:
            if word.startswith("-"):
                assert word in told.output, f"{command} has no {word}"


def test_the_make_targets_that_the_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for path in DOCUMENTS:
        for target in re.findall(
            r"`make ([a-z-]+)`|^make ([a-z-]+)", path.read_text(), re.MULTILINE
        ):
            name = "".join(target)
            assert re.search(rf"^{name}:", makefile, re.MULTILINE), f"{path.name}: make {name}"
