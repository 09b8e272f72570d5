"""Who may import whom: arrows go down only, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "askew"

# Room -> the rooms it may use. A room may always use itself.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "atomic": {"errors"},
    "http": set(),
    "labels": {"errors"},
    "table": {"errors", "atomic"},
    "threshold": {"errors", "labels"},
    "classifier": {"labels"},
    "deep": {"classifier", "errors", "labels", "threshold", "table"},
    "rankers": {"errors", "labels", "deep"},
    "persist": {"errors", "atomic", "deep", "rankers"},
    "reasons": {"errors", "table"},
    "ranking": set(),
    "strategies": {"errors", "labels"},
    "known": {"errors", "labels", "table", "persist"},
    "model": {
        "known",
        "classifier",
        "ranking",
        "strategies",
        "errors",
        "labels",
        "table",
        "threshold",
        "rankers",
        "persist",
        "reasons",
    },
    "report": {"errors", "atomic", "table", "reasons", "model"},
    "review": {
        "strategies",
        "errors",
        "http",
        "atomic",
        "labels",
        "table",
        "threshold",
        "rankers",
        "ranking",
        "model",
    },
    "serving": {"errors", "http", "labels", "table", "model", "reasons", "ranking"},
    "cli": {
        "strategies",
        "http",
        "deep",
        "ranking",
        "errors",
        "atomic",
        "labels",
        "table",
        "model",
        "persist",
        "reasons",
        "report",
        "review",
        "serving",
        "threshold",
    },
    "__init__": {"errors", "labels", "model", "persist"},
    "__main__": {"cli"},
}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every module of Askew's own that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: relative import"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found |= {name for name in names if name.startswith("askew.")}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("askew")}
    return {name for name in found if len(name.split(".")) > 1}


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_uses_only_the_rooms_below_its_own(path: Path) -> None:
    room = room_of(path)
    rooms = {name.split(".")[1] for name in imported(path)}
    # Names that `askew` itself gives (askew.Askew) are no rooms.
    rooms &= set(ALLOWED)
    assert rooms - {room} <= ALLOWED[room]


def test_the_engine_knows_no_method() -> None:
    for name in ("rows", "draws", "nets", "method", "train", "combine"):
        used = imported(SOURCE / "deep" / f"{name}.py")
        assert not [module for module in used if "methods" in module], name


def test_a_method_knows_nothing_of_the_engine() -> None:
    for path in (SOURCE / "deep" / "methods").glob("*.py"):
        used = imported(path)
        assert not [m for m in used if m.startswith(("askew.deep.train", "askew.deep.detector"))]


def test_nothing_in_the_package_can_run_what_a_file_says() -> None:
    banned = {"pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}
    for path in FILES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert not banned & {alias.name.split(".")[0] for alias in node.names}, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in banned, path
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"eval", "exec", "torch.load", "np.load", "numpy.load"}, path


def test_importing_askew_is_light() -> None:
    script = (
        "import sys, askew;"
        "print([m for m in ('torch', 'sklearn', 'numpy', 'pyarrow') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
