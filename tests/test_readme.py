"""Every Python block of the README runs by itself, and every command line in a document is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.documents import PAGES, README, ROOT, blocks, run

DOCUMENTS = [README, *PAGES]


@pytest.mark.parametrize("i", range(len(blocks(README, "python"))))
def test_python_blocks_run(i: int, tmp_path: Path) -> None:
    run(blocks(README, "python")[i], tmp_path)


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
