"""The pages of docs/: their blocks run in order, and what is generated is up to date."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.documents import PAGES, ROOT, blocks, run

WITH_CODE = [path for path in PAGES if blocks(path, "python")]

# Asks pytest what a page's last command line asks, where the page's blocks have run.
QUESTIONS = """
import os, pytest
os.chdir({root!r})
asked = ["-o", "addopts=", "-p", "no:cacheprovider", "--assert=plain", *{asked!r}]
assert pytest.main(asked) == 0
"""


@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: path.name)
def test_blocks_run_one_after_the_other(path: Path, tmp_path: Path) -> None:
    code = "\n".join(blocks(path, "python"))
    for command in blocks(path, "sh"):
        _, found, asked = command.partition("pytest ")
        code += QUESTIONS.format(root=str(ROOT), asked=asked.split()) if found else ""
    run(code, tmp_path)


def test_the_walkthrough_asks_the_suite() -> None:
    (command,) = blocks(ROOT / "docs" / "adding-a-method.md", "sh")
    assert "pytest tests/contract tests/test_losses.py -k HyperSphere" in command


def test_the_page_of_methods_is_what_the_generator_writes() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    wanted = made["page"](made["catalog"]())
    committed = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert committed == wanted, "docs/methods.md is not up to date: run make docs"
