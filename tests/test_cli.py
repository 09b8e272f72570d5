"""The command line as its user meets it, and what it says of files that cannot be used."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest

import askew
from askew.cli.demo import count_found
from askew.cli.main import main
from askew.deep import METHODS, DeepSAD, DevNet, Method
from askew.deep.method import Wrapper
from askew.labels import Label, read_labels
from askew.rankers import ActiveBlend
from askew.table import read_parts, read_table


@dataclass
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, code: int = 0) -> Ran:
        monkeypatch.setattr(sys, "argv", ["askew", *map(str, arguments)])
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            try:
                main()
                left = 0
            except SystemExit as exit:
                left = int(exit.code or 0)
        told = capsys.readouterr()
        assert left == code, told.err
        return Ran(left, told.out, told.err)

    return call


def test_a_process_of_its_own_exits_with_the_code(csv: Path) -> None:
    for arguments, code in ((["info", "gone.askew"], 2), (["nonsense"], 2), (["--help"], 0)):
        ran = subprocess.run(
            [sys.executable, "-m", "askew", *arguments],
            capture_output=True,
            text=True,
            cwd=csv.parent,
            check=False,
        )
        assert ran.returncode == code
        assert "Traceback" not in ran.stderr


@pytest.fixture
def csv(payments: pd.DataFrame, verdicts: pd.Series, tmp_path: Path) -> Path:
    table = payments.assign(verdict=verdicts.reindex(payments.index)).reset_index()
    table.insert(2, "code", [f"{i % 7:03d}" for i in range(200)])
    table.to_csv(tmp_path / "payments.csv", index=False)
    return tmp_path / "payments.csv"


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_rank_keeps_the_files_columns_and_order(cli: Any, csv: Path) -> None:
    ran = cli("rank", csv, "--label", "verdict", "--id", "tx", "-o", "out.csv")
    before, after = read(csv), read(csv.parent / "out.csv")
    pd.testing.assert_frame_equal(after[before.columns], before)
    assert list(after.columns[len(before.columns) :]) == [
        "askew_score",
        "askew_percentile",
        "askew_rank",
        "askew_reason_1",
        "askew_reason_2",
        "askew_reason_3",
        "askew_verdict",
    ]
    assert set(after.index[after["askew_rank"].astype(int) <= 8]) == set(range(8))
    assert after["askew_verdict"].tolist() == before["verdict"].tolist()
    assert 'Labels: 2 anomaly, 4 normal, 194 not looked at (column "verdict")' in ran.out


def test_rank_sorts_and_cuts(cli: Any, csv: Path) -> None:
    cli("rank", csv, "--label", "verdict", "--id", "tx", "-o", "out.csv", "--sort", "--top", "5")
    assert read(csv.parent / "out.csv")["askew_rank"].tolist() == list("12345")


def test_every_format_gives_the_same_ranks(cli: Any, csv: Path) -> None:
    table = pv.read_csv(csv)
    home = csv.parent
    pq.write_table(table, home / "t.parquet")
    with pa.OSFile(str(home / "t.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as w:
        w.write_table(table)
    ranks = []
    for name in ("t.parquet", "t.arrow"):
        cli("rank", name, "--label", "verdict", "--id", "tx", "-o", f"{name}.out.parquet")
        ranked = pq.read_table(home / f"{name}.out.parquet")
        assert ranked.select(table.column_names).to_pylist() == table.to_pylist()
        ranks.append(ranked.column("askew_rank").to_pylist())
    assert ranks[0] == ranks[1]


def test_fit_info_rank_explain(cli: Any, csv: Path) -> None:
    fitted = cli("fit", csv, "--label", "verdict", "--id", "tx", "-o", "m.askew", "--json")
    written = json.loads(fitted.out)
    info = json.loads(cli("info", "m.askew", "--json").out)
    assert info["model"] == written["model"]
    assert info["labels"]["n_anomaly"] == 2
    assert {c["name"]: c["kind"] for c in info["columns"]}["country"] == "category"
    assert "Ranker: Blend(random_state=0)" in cli("info", "m.askew").out
    ranked = json.loads(cli("rank", csv, "-m", "m.askew", "-o", "r.parquet", "--json").out)
    assert [row["askew_rank"] for row in ranked["first"]] == list(range(1, 11))
    assert {row["tx"] for row in ranked["first"][:8]} == {f"tx-{i:04d}" for i in range(8)}
    # Without the verdict column, as new rows come.
    fresh = pd.read_csv(csv, dtype={"code": str}).drop(columns="verdict")
    fresh.to_csv(csv.parent / "fresh.csv", index=False)
    again = json.loads(cli("rank", "fresh.csv", "-m", "m.askew", "--json").out)
    scores = [[row["askew_score"] for row in r["first"]] for r in (ranked, again)]
    assert scores[0] == scores[1]
    told = cli("explain", "m.askew", csv, "tx-0000").out
    assert re.search(r"Row tx-0000: rank \d of 200, score .*; called an anomaly", told)
    assert "amount 9,850: higher than" in told
    why = json.loads(cli("explain", "m.askew", csv, "tx-0000", "--json").out)
    assert "amount" in [reason["column"] for reason in why["reasons"]]
    assert askew.load(csv.parent / "m.askew").id_ == written["model"]


def test_a_long_table_is_told_to_be_sampled(cli: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(9000, 2)), columns=["a", "b"])
    table["y"] = ["yes"] * 3 + [""] * 8997
    table.to_csv(tmp_path / "long.csv", index=False)
    short = "Learnt from samples of the rows (`askew info` on a saved model names them)\n"
    assert short in cli("rank", "long.csv", "--label", "y").out
    assert short in cli("fit", "long.csv", "--label", "y", "-o", "m.askew").out
    told = cli("info", "m.askew").out
    assert re.search(
        r"Learnt from samples of the rows \(IsolationTrees: 256 of 9,000 rows a tree; .*"
        r"KernelLogistic: 8,003 of 8,100 rows",
        told,
    )


def test_the_same_command_twice_writes_the_same_bytes(cli: Any, csv: Path) -> None:
    for name in ("a.csv", "b.csv"):
        cli("rank", csv, "--label", "verdict", "--id", "tx", "-o", name)
    assert (csv.parent / "a.csv").read_bytes() == (csv.parent / "b.csv").read_bytes()


def test_demo_finds_more_than_an_isolation_forest(cli: Any, tmp_path: Path) -> None:
    ran = json.loads(cli("demo", "--json").out)
    found = ran["found"]
    assert found["unjudged"] == 377
    assert found["malignant_unjudged"] == 25
    assert found["askew"] > found["isolation_forest"] > found["random"]
    page = (tmp_path / "askew-demo" / "report.html").read_text()
    assert page.count("<article>") == 50
    assert "<svg" in page
    assert not re.search(r"<script|https?://|src=|@import|url\(", page)
    assert len(read(tmp_path / "askew-demo" / "ranked.csv")) == 387
    last = cli("demo").out.splitlines()[-1]
    assert last.endswith(": askew review askew-demo/cells.csv --label verdict --id id")


def test_the_demo_counts_rows_without_a_verdict_only() -> None:
    n = 60
    ids = [f"c{i}" for i in range(n)]
    malignant = {name: i < 30 for i, name in enumerate(ids)}
    score = np.arange(n, 0, -1.0)
    verdict = ["anomaly"] * 25 + [None] * 35
    ranked = pa.table({"id": ids, "askew_score": score, "askew_verdict": verdict})
    table = pa.table({"id": ids, "x": np.zeros(n)})
    found = count_found(ranked, malignant, table, 0)
    assert found["askew"] == 5
    assert (found["unjudged"], found["malignant_unjudged"]) == (35, 5)
    assert found["random"] == pytest.approx(20 * 5 / 35)


def test_no_labels_work_and_are_told(cli: Any, csv: Path) -> None:
    table = pd.read_csv(csv).drop(columns=["verdict"])
    table.to_csv(csv.parent / "bare.csv", index=False)
    assert "ranks without verdicts" in cli("rank", "bare.csv", "-o", "o.csv").out


def test_a_table_with_semicolons_and_decimal_commas_stays_one(cli: Any, csv: Path) -> None:
    table = pd.read_csv(csv).drop(columns="code")  # 007
    table.to_csv(csv, index=False)
    table.to_csv(csv.parent / "eu.csv", index=False, sep=";", decimal=",")
    cli("rank", csv.name, "-o", "o.csv", "--label", "verdict", "--id", "tx")
    cli("rank", "eu.csv", "-o", "eu_o.csv", "--label", "verdict", "--id", "tx")
    written = pd.read_csv(csv.parent / "eu_o.csv", sep=";", decimal=",")
    pd.testing.assert_frame_equal(written, pd.read_csv(csv.parent / "o.csv"))
    cli("fit", "eu.csv", "-o", "m.askew", "--label", "verdict", "--id", "tx")
    cli("score", "eu.csv", "-m", "m.askew", "-o", "eu_s.csv")
    scored = pd.read_csv(csv.parent / "eu_s.csv", sep=";", decimal=",")
    np.testing.assert_array_equal(scored["askew_score"], written["askew_score"])


def test_a_page_of_a_hostile_table_shows_text(cli: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"<b>amount</b>": rng.normal(size=60), "who": ["<script>alert(1)</script>", "a & b"] * 30}
    )
    table.loc[0, "<b>amount</b>"] = 99
    table.to_csv(tmp_path / "t.csv", index=False)
    cli("rank", "t.csv", "--report", "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page


class TestBadInput:
    def refused(self, cli: Any, tmp_path: Path, *arguments: str) -> str:
        """Run a command that must fail; nothing may be written."""
        before = sorted(p.name for p in tmp_path.iterdir())
        ran = cli(*arguments, code=2)
        assert sorted(p.name for p in tmp_path.iterdir()) == before
        assert ran.out == ""
        message: str = ran.err
        assert message.startswith("askew: "), message
        return message

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("gone.csv", None, "no such file: gone.csv"),
            ("empty.csv", b"", "empty.csv is empty"),
            ("header.csv", b"a,b\n", "header.csv holds a header and no rows"),
            ("broken.parquet", b"PAR1 and then nothing", "broken.parquet could not be read"),
            ("latin.csv", "a,b\n1,caf\xe9\n2,x\n".encode("latin-1"), "latin.csv.*UTF-8"),
            ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "ragged.csv"),
            ("twice.csv", b"a,a\n1,2\n3,4\n", "'a' stands there more than once"),
            ("one.csv", b"a,b\n1,2\n", "1 sample"),
            ("alike.csv", b"a,b\n1,x\n1,x\n1,x\n", "all 3 rows are identical"),
            ("ids.csv", b"tx\n" + b"\n".join(b"t%d" % i for i in range(50)), "'tx'"),
            ("inf.csv", b"a,b\n1,2\ninf,3\n2,5\n", "'a'.*row 2"),
            ("big.csv", b"a,b\n1,2\n1e200,3\n2,5\n", "'a'.*row 2"),
            ("odd.xlsx", b"a,b\n", "odd.xlsx: .xlsx is not a known table format"),
        ],
    )
    def test_files(
        self, cli: Any, tmp_path: Path, name: str, content: bytes | None, said: str
    ) -> None:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        message = self.refused(cli, tmp_path, "rank", name, "-o", "out.csv")
        assert re.search(said, message, re.DOTALL), message

    def test_a_truncated_parquet(self, cli: Any, csv: Path) -> None:
        pq.write_table(pv.read_csv(csv), csv.parent / "t.parquet")
        whole = (csv.parent / "t.parquet").read_bytes()
        (csv.parent / "t.parquet").write_bytes(whole[: len(whole) // 2])
        message = self.refused(cli, csv.parent, "rank", "t.parquet", "-o", "out.csv")
        assert "t.parquet could not be read as .parquet" in message

    def test_columns_that_are_not_there(self, cli: Any, csv: Path) -> None:
        message = self.refused(cli, csv.parent, "rank", csv.name, "--label", "fraud", "-o", "o.csv")
        assert "--label names the column 'fraud', which the file lacks" in message
        message = self.refused(cli, csv.parent, "rank", csv.name, "--id", "key", "-o", "o.csv")
        assert "--id names the column 'key'" in message
        message = self.refused(cli, csv.parent, "rank", csv.name, "--kind", "zip=category")
        assert "'zip'" in message

    def test_unknown_label_words(self, cli: Any, csv: Path) -> None:
        text = csv.read_text().replace("anomaly", "fraud")
        csv.write_text(text)
        message = self.refused(
            cli, csv.parent, "rank", csv.name, "--label", "verdict", "--id", "tx", "-o", "o.csv"
        )
        assert (
            "column \"verdict\" holds 'fraud' (2 times, first at ids 'tx-0000', 'tx-0003')"
            in message
        )

    def test_minus_one_in_a_file_has_two_readings(self, cli: Any, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a,y\n1,-1\n2,1\n3,-1\n")
        message = self.refused(cli, tmp_path, "rank", "t.csv", "--label", "y", "-o", "o.csv")
        assert "not looked at" in message
        assert "labels_from_outlier" in message

    def test_repeated_ids(self, cli: Any, csv: Path) -> None:
        csv.write_text(csv.read_text().replace("tx-0001", "tx-0000"))
        message = self.refused(cli, csv.parent, "rank", csv.name, "--id", "tx", "-o", "o.csv")
        assert "'tx-0000' in rows 1 and 2" in message

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda t: t.drop(columns="amount"), "now missing:\n- amount"),
            (lambda t: t.assign(more=1), "unseen at fit time:\n- more"),
            (lambda t: t[t.columns[::-1]], "same order"),
            (lambda t: t.assign(amount="much"), "amount"),
        ],
    )
    def test_other_columns_at_scoring(self, cli: Any, csv: Path, change: Any, said: str) -> None:
        cli("fit", csv, "--label", "verdict", "--id", "tx", "-o", "m.askew")
        table = change(pd.read_csv(csv, dtype={"code": str}).drop(columns="verdict"))
        table.to_csv(csv.parent / "new.csv", index=False)
        message = self.refused(cli, csv.parent, "rank", "new.csv", "-m", "m.askew", "-o", "o.csv")
        assert said in message

    def test_model_files(self, cli: Any, csv: Path) -> None:
        (csv.parent / "not.askew").write_bytes(b"hello")
        message = self.refused(cli, csv.parent, "info", "not.askew")
        assert "not.askew: is not a model file" in message
        assert "there is no such file" in self.refused(cli, csv.parent, "info", "gone.askew")

    def test_an_output_that_cannot_be_written(self, cli: Any, csv: Path) -> None:
        message = self.refused(cli, csv.parent, "rank", csv.name, "-o", "no/where.csv")
        assert "no such folder" in message
        message = self.refused(cli, csv.parent, "rank", csv.name, "-o", "out.docx")
        assert ".docx is not a known table format" in message

    def test_a_row_that_is_not_there(self, cli: Any, csv: Path) -> None:
        cli("fit", csv, "--label", "verdict", "--id", "tx", "-o", "m.askew")
        message = self.refused(cli, csv.parent, "explain", "m.askew", csv.name, "tx-9999")
        assert "no row has the id 'tx-9999'" in message

    def test_a_column_that_is_all_missing_is_left_out_and_said(
        self, cli: Any, tmp_path: Path
    ) -> None:
        rows = "".join(f"{i * i % 17},\n" for i in range(40))
        (tmp_path / "t.csv").write_text("a,b\n" + rows)
        ran = cli("rank", "t.csv", "-o", "o.csv")
        assert "askew: note: left out, as all their cells are missing: 'b'" in ran.err

    def test_ranking_twice_is_refused_by_name(self, cli: Any, csv: Path) -> None:
        cli("rank", csv, "-o", "once.csv")
        message = self.refused(cli, csv.parent, "rank", "once.csv", "-o", "twice.csv")
        assert "already has the column 'askew_score'" in message


def test_help_names_every_command_and_the_exit_codes(cli: Any) -> None:
    told = cli("--help").out
    commands = ("demo", "fit", "rank", "score", "explain", "info", "threshold", "methods", "cite")
    for word in (*commands, "Exit codes: 0 done"):
        assert word in told
    for command in commands:
        assert "--json" in cli(command, "--help").out


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys, askew, askew.cli.main;"
        "heavy = {'torch', 'sklearn', 'scipy', 'pyarrow', 'pandas', 'polars', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


class TestMethods:
    def told(self, cli: Any) -> str:
        return re.sub(" +$", "", cli("methods").out, flags=re.MULTILINE)

    def test_every_method_and_wrapper_is_listed_with_its_facts(self, cli: Any) -> None:
        told = self.told(cli)
        methods, _, wrappers = told.partition("\n\nWrappers")
        for name, method in METHODS.items():
            part = wrappers if issubclass(method, Wrapper) else methods
            assert re.search(rf"^{name} +\S", part, re.MULTILINE), name
            assert method.paper is not None
            assert method.paper.short in part
        assert re.search(
            r"^DevNet .*\n +Pang et al\. 2019; labels: anomaly \(needed\)$", methods, re.MULTILINE
        )
        assert re.search(r"^DeepSVDD .*\n +Ruff et al\. 2018; labels: none", methods, re.MULTILINE)

    def test_a_wrapper_says_what_it_goes_around(self, cli: Any) -> None:
        @dataclass(eq=False, repr=False)
        class Picky(Wrapper):
            """Go around Deep SAD only."""

            def objection(self, base: Method) -> str:
                return "" if isinstance(base, DeepSAD) else "it is not Deep SAD"

        @dataclass(eq=False, repr=False)
        class Easy(Wrapper):
            """Go around what is not DevNet."""

            demands = (Label.NORMAL,)

            def objection(self, base: Method) -> str:
                return "of its margin" if isinstance(base, DevNet) else ""

        with patch.dict(METHODS, {"Picky": Picky, "Easy": Easy}):
            told = self.told(cli)
            found = {
                entry["name"]: entry
                for entry in json.loads(cli("methods", "--json").out)["wrappers"]
            }
        assert "labels: its base's; takes images as its base; wraps DeepSAD\n" in told
        assert "labels: its base's, normal (needed); " in told
        assert "; wraps every method but DevNet\n" in told
        assert found["Picky"]["wraps"] == ["DeepSAD"]
        assert found["Easy"]["refuses"] == {"DevNet": "of its margin"}

    def test_as_json_it_is_all_there(self, cli: Any) -> None:
        told = json.loads(cli("methods", "--json").out)
        names = [entry["name"] for entry in (*told["methods"], *told["wrappers"])]
        assert sorted(names) == sorted(METHODS)
        (sad,) = (entry for entry in told["methods"] if entry["name"] == "DeepSAD")
        assert sad["labels"] == ["anomaly", "normal"]
        assert sad["paper"]["year"] == 2020
        assert sad["parameters"][0]["name"] == "eta"
        assert sad["parameters"][0]["default"] == "1.0"

    def test_every_paper_is_cited_in_bibtex(self, cli: Any) -> None:
        for name in METHODS:
            told = cli("cite", name).out
            kind, key, body = re.fullmatch(r"@(\w+)\{([\w-]+),\n(.*)\}\n", told, re.DOTALL).groups()  # type: ignore[union-attr]
            assert kind in ("inproceedings", "article", "misc")
            fields = dict(re.findall(r"^  (\w+) = \{(.+)\},$", body, re.MULTILINE))
            assert len(fields) == body.count("\n")
            assert {"author", "title", "year"} < set(fields), key
            assert body.count("{") == body.count("}"), key

    def test_names_are_taken_in_any_case_and_a_paper_once(self, cli: Any) -> None:
        once = cli("cite", "deepsad").out
        assert once == cli("cite", "DEEPSAD", "DeepSAD").out
        assert "author = {Ruff, Lukas and " in once
        both = cli("cite", "DeepSAD", "DevNet").out
        assert both.startswith(once + "\n@inproceedings{pang2019devnet,")
        told = json.loads(cli("cite", "DevNet", "--json").out)
        assert told[0]["name"] == "DevNet"
        assert told[0]["paper"]["title"] == "Deep Anomaly Detection with Deviation Networks"

    def test_an_unknown_name_is_refused_with_the_nearest(self, cli: Any) -> None:
        ran = cli("cite", "DevNet", "deepsvd", code=2)
        assert ran.out == ""
        assert ran.err.count("\n") == 1
        assert "there is no method 'deepsvd'; did you mean DeepSVDD" in ran.err
        assert "did you mean" not in cli("cite", "xyzzy", code=2).err


class TestScore:
    @pytest.fixture(autouse=True)
    def _short_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("askew.table.read_parts", partial(read_parts, rows=30))

    @pytest.fixture
    def fitted(self, cli: Any, csv: Path) -> askew.Askew:
        cli("fit", csv, "--label", "verdict", "--id", "tx", "-o", "m.askew")
        cli("threshold", "m.askew", "--alerts", "100")  # so that scores lie close to the cut
        model: askew.Askew = askew.load(csv.parent / "m.askew")
        return model

    def test_a_csv_keeps_its_text_and_gets_two_columns(
        self, cli: Any, csv: Path, fitted: askew.Askew
    ) -> None:
        csv.write_text(csv.read_text().replace("tx-0001,", "tx-0001,0"))
        ran = cli("score", csv, "-m", "m.askew", "-o", "out.csv")
        before, after = read(csv), read(csv.parent / "out.csv")
        assert list(after.columns) == [*before.columns, "askew_score", "askew_percentile"]
        pd.testing.assert_frame_equal(after[before.columns], before)
        scores = fitted.decision_function(read_table(csv).drop_columns("verdict"))
        assert after["askew_score"].astype(float).tolist() == scores.tolist()
        percentile = after["askew_percentile"].astype(float).tolist()
        assert percentile == fitted.percentile_of(scores).tolist()
        told = fitted.threshold_on(scores).describe()
        n = int((scores > 0).sum())
        assert n == 100
        assert ran.out == (
            f"Rows: 200, of which {n} with askew_score above 0\n"
            f"Threshold (alerts 100): {told}\nWritten: out.csv\n"
        )
        cli("score", csv, "-m", "m.askew", "-o", "out.parquet")
        typed = pq.read_table(csv.parent / "out.parquet")
        assert typed.column("amount").to_pylist() == before["amount"].astype(float).tolist()
        assert typed.column("askew_score").to_pylist() == scores.tolist()

    @pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
    def test_parts_of_a_file_score_as_rank_scores_the_whole(
        self, cli: Any, csv: Path, fitted: askew.Askew, suffix: str
    ) -> None:
        table = read_table(csv)
        column = table.column("country").combine_chunks().dictionary_encode()
        table = table.set_column(table.column_names.index("country"), "country", column)
        pq.write_table(table, csv.parent / "t.parquet", row_group_size=45)
        table = read_table(csv.parent / "t.parquet")
        ran = cli("score", "t.parquet", "-m", "m.askew", "-o", f"out{suffix}", "--json")
        cli("rank", "t.parquet", "-m", "m.askew", "-o", "ranked.parquet")
        new = ["askew_score", "askew_percentile"]
        scored = read_table(csv.parent / f"out{suffix}")
        assert scored.column_names == [*table.column_names, *new]
        assert scored.drop_columns(new).schema.equals(table.schema)
        assert scored.drop_columns(new).to_pylist() == table.to_pylist()
        ranked = pq.read_table(csv.parent / "ranked.parquet")
        assert scored.select(new).to_pydict() == ranked.select(new).to_pydict()
        again = json.loads(cli("rank", "t.parquet", "-m", "m.askew", "--json").out)["threshold"]
        n = int((ranked.column("askew_score").to_numpy() > 0).sum())
        assert json.loads(ran.out) == {
            "written": f"out{suffix}",
            "rows": 200,
            "above": n,
            "threshold": again,
        }

    def test_a_file_may_lack_the_verdicts_and_be_replaced(
        self, cli: Any, csv: Path, fitted: askew.Askew
    ) -> None:
        pq.write_table(read_table(csv).drop_columns("verdict"), csv.parent / "t.parquet")
        table = read_table(csv.parent / "t.parquet")
        cli("score", "t.parquet", "-m", "m.askew", "-o", "t.parquet")
        scored = pq.read_table(csv.parent / "t.parquet")
        scores = fitted.decision_function(table)
        assert scored.column("askew_score").to_pylist() == scores.tolist()
        assert scored.drop_columns(["askew_score", "askew_percentile"]).equals(table)

    @pytest.mark.usefixtures("fitted")
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda t: t.append_column("askew_percentile", t.column("amount")), "already has the"),
            (lambda t: t.drop_columns("amount"), "now missing:\n- amount"),
            (lambda t: t.drop_columns("tx"), "there is no id column 'tx'"),
            (lambda t: t.slice(0, 0), "a header and no rows"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, cli: Any, csv: Path, change: Any, said: str
    ) -> None:
        pq.write_table(change(read_table(csv)), csv.parent / "t.parquet")
        before = sorted(csv.parent.iterdir())
        for arguments in (("-o", "out.csv"), ("-o", "out.parquet")):
            ran = cli("score", "t.parquet", "-m", "m.askew", *arguments, code=2)
            assert said in ran.err
            assert ran.out == ""
        assert "gone.csv" in cli("score", "gone.csv", "-m", "m.askew", "-o", "o.csv", code=2).err
        assert "no such folder" in cli("score", csv, "-m", "m.askew", "-o", "no/o.csv", code=2).err
        assert sorted(csv.parent.iterdir()) == before

    @pytest.mark.usefixtures("fitted")
    def test_damage_in_a_later_row_group_leaves_the_old_output(self, cli: Any, csv: Path) -> None:
        path = csv.parent / "t.parquet"
        pq.write_table(read_table(csv), path, row_group_size=100, compression="gzip")
        column = pq.ParquetFile(path).metadata.row_group(1).column(1)
        damaged = bytearray(path.read_bytes())
        start = column.data_page_offset
        damaged[start : start + column.total_compressed_size // 2] = bytes(
            column.total_compressed_size // 2
        )
        path.write_bytes(damaged)
        assert next(read_parts(path, 30)).num_rows == 30
        (csv.parent / "out.csv").write_text("before")
        names = sorted(csv.parent.iterdir())
        ran = cli("score", path, "-m", "m.askew", "-o", "out.csv", code=2)
        assert "t.parquet could not be read as .parquet: it is damaged" in ran.err
        assert (csv.parent / "out.csv").read_text() == "before"
        assert sorted(csv.parent.iterdir()) == names

    @pytest.mark.usefixtures("fitted")
    def test_few_parts_are_alive_at_a_time(
        self, cli: Any, csv: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pq.write_table(read_table(csv), csv.parent / "t.parquet")
        made: list[weakref.ref[pa.Table]] = []
        alive: list[int] = []

        def parts(path: str) -> Iterator[pa.Table]:
            for part in read_parts(path, 5):
                made.append(weakref.ref(part))
                alive.append(sum(ref() is not None for ref in made))
                yield part

        monkeypatch.setattr("askew.table.read_parts", parts)
        cli("score", "t.parquet", "-m", "m.askew", "-o", "out.parquet")
        assert len(made) == 40
        assert max(alive) <= 2
        assert pq.read_table(csv.parent / "out.parquet").num_rows == 200


class TestThreshold:
    @pytest.fixture
    def fitted(self, cli: Any, tmp_path: Path) -> Path:
        """A model of 400 rows, 40 of them odd, with verdicts on 30 odd ones and 160 others."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(400, 4))
        X[:40] += 3
        table = pd.DataFrame(X, columns=list("abcd"))
        table.insert(0, "id", [f"r{i}" for i in range(400)])
        table.drop(index=range(20, 380)).to_csv(tmp_path / "new.csv", index=False)
        table["verdict"] = ["anomaly"] * 30 + [""] * 70 + ["normal"] * 160 + [""] * 140
        table.to_csv(tmp_path / "t.csv", index=False)
        opened = pd.read_csv(tmp_path / "t.csv").set_index("id")
        model = askew.Askew(
            ActiveBlend(n_trees=50, random_state=0), id_column="id", random_state=0
        ).fit(
            opened.drop(columns="verdict").reset_index(),
            read_labels(opened["verdict"].to_list(), n_rows=400, column="verdict"),
        )
        model.save(tmp_path / "m.askew")
        return tmp_path / "m.askew"

    def test_alerts_are_set_in_place_and_told_again(self, cli: Any, fitted: Path) -> None:
        told = "Threshold (alerts 12): top 3 %, about 12 rows, precision not known"
        ran = cli("threshold", fitted, "--alerts", "12")
        model = askew.load(fitted)
        assert ran.out == f"{told}\nWritten: {fitted} (model {model.id_})\n"
        assert told in cli("info", fitted).out.splitlines()
        new = model.decision_function(pd.read_csv(fitted.parent / "new.csv"))
        n = int((new > 0).sum())
        assert n > 0
        told = f"Threshold (alerts 12): top {100 * n / 40:.0f} %, about {n} rows, precision"
        assert told in cli("rank", "new.csv", "-m", fitted).out
        ranked = json.loads(cli("rank", "new.csv", "-m", fitted, "--json").out)
        assert (ranked["threshold"]["alerts"], ranked["threshold"]["rows"]) == (n, 40)
        assert [row["askew_score"] > 0 for row in ranked["first"]] == [i < n for i in range(10)]

    def test_precision_goes_to_another_file(self, cli: Any, fitted: Path) -> None:
        before = fitted.read_bytes()
        arguments = ("threshold", fitted, "--precision", "0.6", "--table", "t.csv", "-o", "p.askew")
        given = json.loads(cli(*arguments, "--json").out)
        assert fitted.read_bytes() == before
        told = askew.load(fitted.parent / "p.askew").threshold_
        assert given["written"] == "p.askew"
        assert given["threshold"]["said"] == told.describe()
        assert given["threshold"]["precision"]["low"] == told.precision.low >= 0.6
        assert "anomaly" not in cli("info", fitted).out.split("Threshold")[1]

    def test_a_false_discovery_rate_is_one_of_the_table_that_is_ranked(
        self, cli: Any, fitted: Path
    ) -> None:
        cli("threshold", fitted, "--fdr", "0.3", "--table", "t.csv")
        model = askew.load(fitted)
        again = model.threshold_on(model.decision_function(pd.read_csv(fitted.parent / "new.csv")))
        ran = cli("rank", "new.csv", "-m", fitted)
        assert f"about {again.n_alerts} rows, false discovery rate at most 0.3" in ran.out
        assert f"those with askew_score above {again.cut:.4g}" in ran.out
        usual = pd.read_csv(fitted.parent / "new.csv").tail(20)
        usual.to_csv(fitted.parent / "usual.csv", index=False)
        refused = cli("rank", "usual.csv", "-m", fitted, "-o", "out.csv")
        assert "Threshold (fdr 0.3): no row can be called at a false discovery rate" in refused.out
        assert len(read(fitted.parent / "out.csv")) == 20

    def test_what_is_not_carried_is_refused_and_nothing_written(
        self, cli: Any, fitted: Path
    ) -> None:
        before = fitted.read_bytes()
        for arguments, said in (
            (("--precision", "0.99", "--table", "t.csv"), r"At least [\d,]+ more verdicts on the"),
            (("--fdr", "0.001", "--table", "t.csv"), r"At least [\d,]+ more verdicts of normal"),
            (("--fdr", "0.1"), "--table on the command line"),
            (("--alerts", "0"), "expected a whole number, 1 or more"),
            (("--alerts", "1", "--fdr", "0.1"), "give one of --alerts, --precision and --fdr"),
            ((), "give one of --alerts, --precision and --fdr"),
            (("--alerts", "1", "--label", "verdict"), "give it with --table"),
        ):
            ran = cli("threshold", fitted, *arguments, code=2)
            assert re.search(said, re.sub(r"\s*│?\n│?\s*", " ", ran.err)), ran.err
            assert ran.out == ""
        assert fitted.read_bytes() == before

    def test_verdicts_that_came_since_are_used(self, cli: Any, fitted: Path) -> None:
        table = pd.read_csv(fitted.parent / "t.csv", keep_default_na=False)
        table.loc[300:309, "verdict"] = "normal"
        table.to_csv(fitted.parent / "t.csv", index=False)
        cli("label", "t.csv", "r350", "normal", "--id", "id", "--label", "verdict")
        for more, n in ((("--no-store",), 170), ((), 171)):
            ran = cli("threshold", fitted, "--fdr", "0.3", "--table", "t.csv", "--json", *more)
            assert json.loads(ran.out)["threshold"]["known_normals"] == n

    def test_probabilities_are_told(self, cli: Any, fitted: Path) -> None:
        table = pd.read_csv(fitted.parent / "t.csv").drop(columns="verdict")
        askew.load(fitted).calibrate(table).save(fitted)
        said = "Probabilities: from 30 anomalies and 160 normals, held out"
        assert said in cli("info", fitted).out
