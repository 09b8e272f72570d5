"""The ranked table, a page at a time, and what can be taken away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from askew.review.web.export import neutral
from askew.review.web.ranked import SIZE, RankedTable
from tests.review.web import TOKEN, Site, site_on, words_in


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    rng = np.random.default_rng(0)
    n = 130
    table = pd.DataFrame(
        {
            "amount": np.where(np.arange(n) % 10 == 3, np.nan, rng.permutation(n) // 3.0),
            "place": [f"Place {i % 7}" for i in range(n)],
            "big": rng.integers(-5, 5, n),
        }
        | {f"c{i}": rng.normal(size=n) for i in range(7)},
        index=pd.Index([f"r{i:03d}" for i in range(n)], name="id"),
    )
    with site_on(table, tmp_path_factory.mktemp("table")) as opened:
        opened.session.tell({"r001": "anomaly", "r002": "normal", "r003": "unsure"})
        opened.session.refit()
        yield opened


def get(site: Site, **query: Any) -> Any:
    reply = site.client.get("/api/table", params=query)
    assert reply.status_code == 200, reply.text
    return reply.json()


def keys(page: Any) -> list[str]:
    return [row["key"] for row in page["rows"]]


def test_pages_hold_every_row_once_by_rank(site: Site) -> None:
    pages = [get(site, page=i) for i in (1, 2, 3)]
    assert [len(page["rows"]) for page in pages] == [SIZE, SIZE, 30]
    assert {(page["n_pages"], page["n_rows"]) for page in pages} == {(3, 130)}
    rows = [row for page in pages for row in page["rows"]]
    assert sorted(row["key"] for row in rows) == site.session.keys
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == site.session.ranking.scores.max()
    assert [row["rank"] for row in rows] == [1 + sum(s > one for s in scores) for one in scores]
    assert get(site, page=99) == pages[2]
    assert keys(get(site, descending=True))[0] == rows[-1]["key"]


def test_a_column_sorts_the_rows_missing_cells_last(site: Site) -> None:
    amounts = site.session.prepared.table.frame.get_column("amount").to_list()
    missing = sum(value != value for value in amounts)
    for descending in (False, True):
        rows = [
            row
            for i in (1, 2, 3)
            for row in get(site, sort="amount", descending=descending, page=i)["rows"]
        ]
        cells = [row["cells"][0] for row in rows]
        assert cells[-missing:] == [None] * missing
        numbers = [float(cell) for cell in cells[:-missing]]
        assert numbers == sorted(numbers, reverse=descending)
        for a, b in pairwise(rows):
            if a["cells"][0] == b["cells"][0]:
                assert a["rank"] <= b["rank"]


def test_the_table_is_filtered_by_verdict_and_column(site: Site) -> None:
    assert keys(get(site, verdict="anomaly")) == ["r001"]
    assert keys(get(site, verdict="normal")) == ["r002"]
    assert keys(get(site, verdict="unsure")) == ["r003"]
    assert sorted(keys(get(site, verdict="judged"))) == ["r001", "r002", "r003"]
    assert get(site, verdict="open")["n_rows"] == 127
    assert get(site, verdict="disputed")["n_rows"] == 0
    found = get(site, column="place", holds="place 6")
    assert found["n_rows"] == 18
    assert {row["cells"][1] for row in found["rows"]} == {"Place 6"}
    assert get(site, column="big", holds="-3", verdict="judged")["n_rows"] <= 3
    assert get(site, column="place", holds="pl.ce")["n_rows"] == 0


def test_what_the_table_lacks_is_refused(site: Site) -> None:
    for query in ({"sort": "nothing"}, {"sort": ""}, {"column": "nothing"}):
        assert site.client.get("/api/table", params=query).status_code == 404
        assert site.client.get("/table", params=query).status_code == 404
    for bad in ({"verdict": "odd"}, {"page": 0}, {"page": "x"}):
        assert site.client.get("/api/table", params=bad).status_code == 422


def test_a_verdict_of_the_file_counts_as_judged(tmp_path: Path) -> None:
    table = pd.DataFrame({"v": np.arange(20.0), "w": np.arange(20.0)[::-1] ** 2})
    given = pd.Series({3: "anomaly", 4: "normal"})
    with site_on(table, tmp_path, verdicts=given) as site:
        ranked = RankedTable(site.session)
        assert [row.row for row in ranked.page(verdict="anomaly").rows] == [3]
        site.session.tell({site.session.keys[3]: "unsure"})
        assert ranked.page(verdict="anomaly").rows == ()
        assert [row.verdict for row in ranked.page(verdict="unsure").rows] == ["unsure"]


def test_a_row_of_the_page_opens_its_card(site: Site) -> None:
    text = site.get("/table?sort=place&descending=1&column=place&holds=place")
    assert 'aria-sort="descending"' in text
    assert "the first 8 of 10 columns" in words_in(text)
    link = re.search(r'<th scope="row"><a href="([^"]+)"><bdi>([^<]+)</bdi>', text)
    assert link is not None
    assert f'<h1 id="card-title" tabindex="-1"><bdi>{link.group(2)}</bdi>' in site.get(
        link.group(1)
    )
    after = re.search(r'rel="next" href="([^"]+)"', text)
    assert after is not None
    assert "Page 2 of 3" in words_in(site.get(after.group(1).replace("&amp;", "&")))


def test_the_table_is_taken_away_as_a_file(site: Site) -> None:
    assert "Take it with you" not in site.get("/table")
    assert site.client.get("/export/ranked.csv").status_code == 404
    written: list[tuple[Path, bool]] = []

    def export(path: Path, guarded: bool) -> None:
        path.write_text(f"guarded: {guarded}")
        written.append((path, guarded))

    site.app.state.export = export
    try:
        assert "/export/spreadsheet.csv" in site.get("/table")
        reply = site.client.get("/export/spreadsheet.csv")
        assert reply.text == "guarded: True"
        assert 'filename="payments.spreadsheet.csv"' in reply.headers["content-disposition"]
        assert site.client.get("/export/ranked.parquet").text == "guarded: False"
        assert [path.suffix for path, _ in written] == [".csv", ".parquet"]
        assert not any(path.parent.exists() for path, _ in written)
        assert site.client.get("/export/passwd").status_code == 404
        assert site.stranger().get("/export/ranked.csv").status_code == 403
        assert site.stranger().get(f"/export/ranked.csv?token={TOKEN}").status_code == 303
    finally:
        site.app.state.export = None


def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe() -> None:
    table = pa.table(
        {
            "=name": ["=1+1", "+49 30", "-5", "-5.3e-4", "-2+3", "@SUM(A1)", "\tx", " =1", None],
            "n": [-1, 2, 3, 4, 5, 6, 7, 8, 9],
        }
    )
    guarded = neutral(table)
    assert guarded.column_names == ["'=name", "n"]
    assert guarded.column(0).to_pylist() == [
        "'=1+1",
        "'+49 30",
        "-5",
        "-5.3e-4",
        "'-2+3",
        "'@SUM(A1)",
        "'\tx",
        "' =1",
        None,
    ]
    assert guarded.column(1).equals(table.column(1))
