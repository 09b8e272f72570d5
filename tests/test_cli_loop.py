"""The loop on the command line: ask, judge, rank again, and verdicts from one store to another."""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from askew.cli.main import main
from askew.review.store import open_store
from askew.review.verdicts import Judgment, Verdict
from askew.strategies import STRATEGIES

Command = Callable[..., Any]
STORE = "payments.csv.verdicts.db"
RANK = ("rank", "--reasons", "0")


@pytest.fixture
def askew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run a command in a folder of its own: its JSON, its text, or the message it fails with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "ana")

    def call(*arguments: str, code: int = 0) -> Any:
        monkeypatch.setattr(sys, "argv", ["askew", *arguments])
        capsys.readouterr()
        left = 0
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            try:
                main()
            except SystemExit as exit:
                left = int(exit.code or 0)
        told = capsys.readouterr()
        assert left == code, told.err
        if code:
            assert told.out == ""
            return told.err
        return json.loads(told.out) if "--json" in arguments else told.out

    return call


@pytest.fixture
def file(payments: pd.DataFrame, tmp_path: Path) -> str:
    payments.reset_index().to_csv(tmp_path / "payments.csv", index=False)
    return "payments.csv"


@pytest.fixture
def labelled(file: str, verdicts: pd.Series, payments: pd.DataFrame, tmp_path: Path) -> str:
    table = payments.assign(verdict=verdicts.reindex(payments.index)).reset_index()
    table.to_csv(tmp_path / file, index=False)
    return file


def keys(told: Any) -> list[str]:
    return [row["key"] for row in told["asked"]]


def counts(told: Any) -> tuple[int, int, int]:
    known = told["verdicts"]
    return known["anomaly"], known["normal"], known["unsure"]


class TestNext:
    def test_rows_are_told_with_why_rank_score_reasons_and_cells(
        self, askew: Command, file: str, payments: pd.DataFrame
    ) -> None:
        told = askew("next", file, "--id", "tx", "-n", "6", "--json")
        first, *rest = told["asked"]
        assert len(rest) == 5
        assert (first["why"], first["rank"]) == ("ranked 1st", 1)
        assert first["key"] in payments.index[:8]
        assert first["score"] == max(row["score"] for row in told["asked"])
        assert any(reason["column"] == "amount" for reason in first["reasons"])
        assert first["row"]["tx"] == first["key"]
        assert first["row"]["amount"] == payments.loc[first["key"], "amount"]
        assert "random check" in [row["why"] for row in rest]
        assert told["reviewer"] == "ana"
        shown = askew("next", file, "--id", "tx", "-n", "6")
        for row in told["asked"]:
            assert row["key"] in shown
        assert first["reasons"][0]["text"] in shown
        assert f"Answer: askew label {file} {first['key']} anomaly --id tx\n" in shown

    def test_the_same_rows_come_until_they_are_judged(self, askew: Command, file: str) -> None:
        ask = ("next", file, "--id", "tx", "-n", "4", "--json")
        first = keys(askew(*ask))
        assert keys(askew(*ask)) == first
        askew("label", file, first[0], "anomaly", "--id", "tx")
        assert first[0] not in keys(askew(*ask))

    def test_two_reviewers_never_get_the_same_row(self, askew: Command, file: str) -> None:
        asked = [
            keys(askew("next", file, "-n", "5", "--reviewer", who, "--json"))
            for who in ("ana", "ben", "ana")
        ]
        assert not set(asked[0]) & set(asked[1])
        assert asked[2] == asked[0]
        assert len(asked[1]) == 5

    def test_the_strategy_and_the_seed_decide(self, askew: Command, file: str) -> None:
        told = askew("next", file, "-n", "3", "--strategy", "random", "--seed", "1", "--json")
        assert [row["why"] for row in told["asked"]] == ["random check"] * 3
        with open_store(STORE) as store:
            store.release(keys(told), "ana")
        other = askew("next", file, "-n", "3", "--strategy", "random", "--seed", "2", "--json")
        assert keys(other) != keys(told)

    def test_the_help_names_every_strategy_and_another_is_refused(
        self, askew: Command, file: str
    ) -> None:
        told = askew("next", "--help")
        assert all(name in told for name in STRATEGIES)
        message = askew("next", file, "--strategy", "best", code=2)
        assert "there is no strategy 'best'; give one of suspicious" in message
        assert not Path(STORE).exists()

    def test_a_table_that_is_judged_to_the_end_asks_nothing(
        self, askew: Command, payments: pd.DataFrame, tmp_path: Path
    ) -> None:
        payments.head(12).reset_index().to_csv(tmp_path / "few.csv", index=False)
        options = ("few.csv", "--id", "tx")
        asked = keys(askew("next", *options, "-n", "50", "--json"))
        assert sorted(asked) == sorted(payments.index[:12])
        askew("label", "few.csv", *asked[:6], "unsure", "--id", "tx")
        askew("label", "few.csv", *asked[6:], "normal", "--id", "tx")
        assert askew("next", *options, "--json")["asked"] == []
        assert "Nothing to ask: every row is judged" in askew("next", *options)

    def test_rows_judged_in_the_file_are_not_asked(self, askew: Command, labelled: str) -> None:
        options = ("next", labelled, "--id", "tx", "--label", "verdict", "-n", "195", "--json")
        asked = keys(askew(*options))
        assert len(asked) == 194
        assert not {"tx-0000", "tx-0003", "tx-0020"} & set(asked)


class TestLabel:
    def test_a_verdict_is_written_counted_and_answers_the_question(
        self, askew: Command, file: str
    ) -> None:
        key = keys(askew("next", file, "--id", "tx", "-n", "1", "--json"))[0]
        told = askew("label", file, key, "Anomaly", "--id", "tx", "--note", "stolen card", "--json")
        (line,) = told["written"]
        assert (line["key"], line["verdict"], line["reviewer"], line["note"]) == (
            key,
            "anomaly",
            "ana",
            "stolen card",
        )
        assert counts(told) == (1, 0, 0)
        assert (told["hint"]["n_recent"], told["hint"]["n_anomaly"]) == (1, 1)
        with open_store(STORE) as store:
            (kept,) = store.lines()
        assert (kept.key, kept.verdict, kept.why, kept.turn) == (key, "anomaly", "suspicious", 1)

    def test_several_keys_share_a_verdict_and_the_state_is_told(
        self, askew: Command, file: str
    ) -> None:
        askew("label", file, "tx-0001", "anomaly", "--id", "tx")
        said = askew("label", file, "tx-0020", "tx-0021", "normal", "--id", "tx")
        assert said.splitlines()[:3] == [
            "Written: tx-0020 normal (ana)",
            "Written: tx-0021 normal (ana)",
            f"Verdicts: 1 anomaly, 2 normal, 0 unsure from {STORE}",
        ]
        assert said.splitlines()[3].startswith("1 of the last 3 were anomalies; ")

    def test_undo_goes_back_one_by_one_and_only_ones_own(self, askew: Command, file: str) -> None:
        askew("label", file, "tx-0001", "anomaly", "--id", "tx")
        askew("label", file, "tx-0002", "normal", "--id", "tx", "--reviewer", "ben")
        told = askew("label", file, "--undo", "--json")
        assert told["taken_back"]["key"] == "tx-0001"
        assert counts(told) == (0, 1, 0)
        assert "Nothing to take back: no verdict of ana stands" in askew("label", file, "--undo")
        said = askew("label", file, "--undo", "--reviewer", "ben")
        assert said.startswith("Taken back: tx-0002 normal (ben)\nVerdicts: 0 anomaly, 0 normal")

    def test_the_first_six_letters_of_a_hash_do(self, askew: Command, file: str) -> None:
        key = keys(askew("next", file, "-n", "1", "--json"))[0]
        assert len(key) == 32
        assert "has the key" in askew("label", file, key[:5], "normal", code=2)
        told = askew("label", file, key[:6], "normal", "--json")
        assert told["written"][0]["key"] == key

    def test_letters_that_two_rows_share_are_refused(self, askew: Command, tmp_path: Path) -> None:
        rows = "".join(f"{i % 9},{i % 7}\n" for i in range(30))
        (tmp_path / "copies.csv").write_text("a,b\n" + rows + "50,60\n50,60\n")
        with open_store("copies.csv.verdicts.db"):
            pass
        key = keys(askew("next", "copies.csv", "-n", "1", "--json"))[0]
        copied = key.partition("#")[0]
        message = askew("label", "copies.csv", copied[:10], "anomaly", code=2)
        assert f"2 rows of copies.csv have keys that begin with {copied[:10]!r}" in message
        told = askew("label", "copies.csv", copied, "anomaly", "--json")
        assert told["written"][0]["key"] == copied

    def test_an_id_is_never_cut(self, askew: Command, file: str) -> None:
        askew("label", file, "tx-0001", "normal", "--id", "tx")
        assert "has the key 'tx-001'" in askew(
            "label", file, "tx-001", "normal", "--id", "tx", code=2
        )

    def test_what_cannot_be_written_is_refused_and_nothing_is(
        self, askew: Command, file: str
    ) -> None:
        askew("label", file, "tx-0001", "normal", "--id", "tx")
        message = askew("label", file, "tx-0002", "tx-9999", "anomaly", "--id", "tx", code=2)
        assert "no row of payments.csv has the key 'tx-9999'; its keys are such as" in message
        message = askew("label", file, "tx-0002", "fraud", "--id", "tx", code=2)
        assert "'fraud' is no verdict" in message
        assert "anomaly, normal, unsure" in message
        assert "give the key of a row" in askew("label", file, "tx-0002", "--id", "tx", code=2)
        assert "--undo takes no key" in askew("label", file, "tx-0002", "--undo", code=2)
        assert "no such file: gone.csv" in askew("label", "gone.csv", "a", "normal", code=2)
        assert not Path("gone.csv.verdicts.db").exists()
        assert "there is no store of verdicts" in askew("label", "gone.csv", "--undo", code=2)
        with open_store(STORE) as store:
            assert len(store.lines()) == 1

    def test_an_id_without_its_column_says_which_one_holds_it(
        self, askew: Command, file: str
    ) -> None:
        message = askew("label", file, "tx-0002", "anomaly", code=2)
        assert "Such keys stand in the column 'tx': give --id tx" in message


class TestRank:
    def test_the_verdicts_of_the_store_count_before_the_files(
        self, askew: Command, labelled: str, tmp_path: Path
    ) -> None:
        options = ("--id", "tx", "--label", "verdict")
        bare = askew(*RANK, labelled, *options, "--json")
        assert "verdicts" not in bare
        askew("label", labelled, "tx-0000", "normal", *options)
        askew("label", labelled, "tx-0001", "tx-0002", "anomaly", *options)
        askew("label", labelled, "tx-0020", "unsure", *options)
        said = askew(*RANK, labelled, *options, "-o", "out.csv")
        assert f"Verdicts: 2 anomaly, 1 normal, 1 unsure from {STORE}" in said
        after = pd.read_csv(tmp_path / "out.csv", index_col="tx")["askew_verdict"].dropna()
        assert after.to_dict() == {
            "tx-0000": "normal",
            "tx-0001": "anomaly",
            "tx-0002": "anomaly",
            "tx-0003": "anomaly",
            "tx-0020": "unsure",
            "tx-0050": "normal",
            "tx-0080": "normal",
            "tx-0110": "normal",
        }
        with_store = askew(*RANK, labelled, *options, "--json")
        assert (with_store["labels"]["n_anomaly"], with_store["labels"]["n_normal"]) == (3, 4)
        assert with_store["model"] != bare["model"]
        without = askew(*RANK, labelled, *options, "--no-store", "--json")
        assert without["model"] == bare["model"]

    def test_fit_picks_them_up_and_a_model_shows_them(
        self, askew: Command, file: str, tmp_path: Path
    ) -> None:
        askew("label", file, "tx-0001", "anomaly", "--id", "tx")
        askew("label", file, "tx-0020", "unsure", "--id", "tx")
        fitted = askew("fit", file, "--id", "tx", "-o", "m.askew", "--json")
        assert fitted["labels"]["n_anomaly"] == 1
        assert counts(fitted) == (1, 0, 1)
        askew(*RANK, file, "-m", "m.askew", "-o", "out.csv")
        shown = pd.read_csv(tmp_path / "out.csv", index_col="tx")["askew_verdict"].dropna()
        assert shown.to_dict() == {"tx-0001": "anomaly", "tx-0020": "unsure"}
        bare = askew("fit", file, "--id", "tx", "-o", "m.askew", "--no-store", "--json")
        assert bare["labels"]["n_anomaly"] == 0

    def test_rows_without_an_id_are_found_in_any_order_and_format(
        self, askew: Command, file: str, tmp_path: Path
    ) -> None:
        pd.read_csv(file).drop(columns="booked").to_csv(file, index=False)
        first = askew("next", file, "-n", "2", "--json")["asked"]
        askew("label", file, first[0]["key"], first[1]["key"], "anomaly")
        pd.read_csv(file).iloc[::-1].to_parquet(tmp_path / "t.parquet", index=False)
        askew(*RANK, "t.parquet", "--store", STORE, "-o", "out.csv")
        shown = pd.read_csv(tmp_path / "out.csv", index_col="tx")["askew_verdict"].dropna()
        assert set(shown.index) == {row["row"]["tx"] for row in first}

    def test_verdicts_on_rows_that_are_gone_are_counted(
        self, askew: Command, file: str, payments: pd.DataFrame
    ) -> None:
        askew("label", file, "tx-0001", "tx-0150", "tx-0151", "anomaly", "--id", "tx")
        payments.head(120).reset_index().to_csv(file, index=False)
        gone = "1 anomaly, 0 normal, 0 unsure from {}; 2 more on rows that the file does not have"
        assert gone.format(STORE) in askew(*RANK, file, "--id", "tx")
        assert gone.format(STORE) in askew("next", file, "--id", "tx", "-n", "1")

    def test_disagreement_is_told_and_the_latest_counts(self, askew: Command, file: str) -> None:
        for who, verdict in (("ana", "anomaly"), ("ben", "normal")):
            askew("label", file, "tx-0001", verdict, "--id", "tx", "--reviewer", who)
        said = askew(*RANK, file, "--id", "tx")
        assert "0 anomaly, 1 normal, 0 unsure" in said
        assert "on 1 reviewers disagree and the latest counts" in said

    def test_a_store_of_other_rows_is_refused_by_every_command(
        self, askew: Command, file: str
    ) -> None:
        askew("label", file, "tx-0001", "anomaly", "--id", "tx")
        for command in (["rank", file], ["next", file], ["fit", file, "-o", "m.askew"]):
            message = askew(*command, code=2)
            assert f"none of the verdicts in {STORE} is on a row of {file}" in message
            assert "'tx-0001'" in message
            assert "give --id tx" in message
        with open_store("other.db") as store:
            store.add([Judgment("someone-else", Verdict.NORMAL)])
        message = askew(*RANK, file, "--id", "tx", "--store", "other.db", code=2)
        assert "Give the same --id and --label as when the rows were asked" in message

    def test_a_store_that_was_named_has_to_be_there(self, askew: Command, file: str) -> None:
        message = askew(*RANK, file, "--store", "gone.db", code=2)
        assert "there is no store of verdicts at gone.db" in message
        assert not Path("gone.db").exists()
        message = askew(*RANK, file, "--store", "gone.db", "--no-store", code=2)
        assert "give one of the two" in message


class TestLabels:
    def test_verdicts_go_to_a_second_store_once(
        self, askew: Command, file: str, tmp_path: Path
    ) -> None:
        askew("label", file, "tx-0001", "tx-0002", "anomaly", "--id", "tx", "--note", "é, so")
        askew("label", file, "tx-0020", "normal", "--id", "tx")
        askew("label", file, "--undo")
        told = askew("labels", "export", file, "verdicts.csv", "--json")
        assert told["lines"] == 4
        into = ("labels", "import", file, "verdicts.csv", "--id", "tx", "--store", "two.db")
        first, again = askew(*into, "--json"), askew(*into, "--json")
        assert (first["added"], first["already_there"]) == (4, 0)
        assert (again["added"], again["already_there"]) == (0, 4)
        assert counts(first) == counts(again) == (2, 0, 0)
        with open_store(STORE) as one, open_store("two.db") as two:
            assert [(x.uid, x.key, x.note) for x in one.lines()] == [
                (x.uid, x.key, x.note) for x in two.lines()
            ]

    @pytest.mark.parametrize("mark", [",", ";"])
    def test_by_hand_with_rows_that_the_table_lacks(
        self, askew: Command, file: str, tmp_path: Path, mark: str
    ) -> None:
        written = "key,verdict\ntx-0001,yes\ntx-0020,no\nold-1,1\n"
        (tmp_path / "hand.csv").write_text(written.replace(",", mark))
        said = askew("labels", "import", file, "hand.csv", "--id", "tx")
        assert said.splitlines() == [
            "Added: 3 lines; 0 were there already",
            "On rows that payments.csv does not have: 1 of 3",
            f"Verdicts: 1 anomaly, 1 normal, 0 unsure from {STORE}; 1 more on rows that the file "
            "does not have",
        ]

    def test_a_file_of_other_rows_alone_is_refused_before_anything_is_kept(
        self, askew: Command, file: str, tmp_path: Path
    ) -> None:
        (tmp_path / "hand.csv").write_text("key,verdict\ntx-0001,yes\n")
        message = askew("labels", "import", file, "hand.csv", code=2)
        assert "none of the verdicts in hand.csv is on a row of payments.csv" in message
        assert "give --id tx" in message
        assert not Path(STORE).exists()
        assert "there is no store" in askew("labels", "export", file, "out.csv", code=2)


def test_the_loop_as_it_is_lived(askew: Command, labelled: str, payments: pd.DataFrame) -> None:
    """Ask five at a time, answer as the last line says, and let the ranking learn."""
    odd = set(payments.index[:8])
    options = ("--id", "tx", "--label", "verdict", "--store", "my verdicts.db")
    judged: list[str] = []
    for _ in range(2):
        asked = keys(askew("next", labelled, *options, "-n", "5", "--reviewer", "b o", "--json"))
        said = askew("next", labelled, *options, "-n", "5", "--reviewer", "b o").splitlines()
        (answer,) = (line for line in said if line.startswith("Answer: "))
        _, *words = shlex.split(answer.removeprefix("Answer: "))
        assert words[:4] == ["label", labelled, asked[0], "anomaly"]
        assert not set(judged) & set(asked)
        for verdict in ("anomaly", "normal"):
            rows = [key for key in asked if (key in odd) == (verdict == "anomaly")]
            askew(*words[:2], *rows, verdict, *words[4:])
        judged += asked
    with open_store("my verdicts.db") as store:
        assert {line.reviewer for line in store.lines()} == {"b o"}
    ranked = askew(*RANK, labelled, *options, "--json")
    found = len(odd & set(judged))
    assert found >= 4
    assert counts(ranked) == (found, 10 - found, 0)
    assert {row["tx"] for row in ranked["first"][:8]} == odd


def test_every_command_of_the_loop_is_in_the_help(askew: Command) -> None:
    told = askew("--help")
    for command in (["next"], ["label"], ["labels"]):
        assert command[0] in told
    for command in (["next"], ["label"], ["labels", "import"], ["labels", "export"]):
        assert "--store" in askew(*command, "--help")
