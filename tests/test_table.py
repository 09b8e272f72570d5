from __future__ import annotations

import datetime as dt
import gzip
import io
import os
import resource
import weakref
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askew.errors import AskewError, DataError, FileError
from askew.table import (
    SUFFIXES,
    array_frame,
    files,
    read_parts,
    read_table,
    row_keys,
    to_frame,
    write_parts,
    write_table,
)

DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12, 30, 15)


def plain() -> pa.Table:
    return pa.table(
        {
            "n": pa.array([1, None, -(2**53) - 1]),
            "f": pa.array([0.1, 1e300, None]),
            "s": pa.array(['say "hi"', "two\nlines, one cell", None]),
            "d": pa.array([DAY, None, DAY]),
            "t": pa.array([NOON, NOON, None], pa.timestamp("s")),
            "b": pa.array([True, None, False]),
        }
    )


def csv(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# --- files: what is whole comes back whole


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_back_what_was_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    write_table(plain(), path)
    assert read_table(path).to_pydict() == plain().to_pydict()
    assert os.listdir(tmp_path) == [path.name]


cells = st.one_of(
    # A word in front: pyarrow would read "1" or "true" as what it looks like.
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map("w".__add__),
    st.none(),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(-(2**63), 2**63 - 1), st.none()),
            st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.none()),
            cells,
            st.one_of(st.dates(dt.date(1000, 1, 1)), st.none()),
            st.one_of(st.booleans(), st.none()),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([".csv", ".tsv", ".csv.gz"]),
    st.sampled_from(["a", "with,comma", 'with "quotes"', "two\nlines", " padded "]),
)
def test_csv_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], suffix: str, name: str
) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    types = (pa.int64(), pa.float64(), pa.string(), pa.date32(), pa.bool_())
    arrays = [pa.array(c, t) for c, t in zip(columns, types, strict=True)]
    table = pa.Table.from_arrays(arrays, [name, "f", "s", "d", "b"])
    path = tmp_path_factory.mktemp("csv") / f"table{suffix}"
    write_table(table, path)
    assert read_table(path).to_pydict() == table.to_pydict()


@pytest.mark.parametrize("values", [[1, None, 3], [None, "x", None], [None, 2.5]])
def test_a_blank_line_is_a_row_when_there_is_one_column(tmp_path: Path, values: list[Any]) -> None:
    path = tmp_path / "one.csv"
    write_table(pa.table({"a": values}), path)
    assert read_table(path).to_pydict() == {"a": values}


def test_a_quoted_name_may_hold_any_sign(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    write_table(pa.table({"a;b": [1]}), path)
    assert read_table(path).to_pydict() == {"a;b": [1]}


def test_csv_is_written_as_a_person_would(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    table = pa.table(
        {
            "id": ["a", "b"],
            "day": [DAY, None],
            "at": pa.array([NOON, None], pa.timestamp("s")),
            "amount": [1.5, 2.0],
            "price": [Decimal("1.10"), None],
            "kind": pa.array(["x", "y"]).dictionary_encode(),
        }
    )
    write_table(table, path)
    assert path.read_text() == (
        "id,day,at,amount,price,kind\na,2024-02-29,2024-02-29 12:30:15,1.5,1.10,x\nb,,,2,,y\n"
    )


def test_types_are_found_by_the_reader(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "i,f,b,d,t,z,s\n"
        "1,1.5,true,2024-02-29,2024-02-29 12:30:15,2024-02-29T12:30:15+02:00,x\n"
        "NA,nan,,,,,NA\n",
    )
    table = read_table(path)
    assert [str(kind) for kind in table.schema.types] == [
        "int64",
        "double",
        "bool",
        "date32[day]",
        "timestamp[s]",
        "timestamp[s, tz=UTC]",
        "string",
    ]
    # "NA" is missing among numbers; among words it is a word.
    assert table.column("i").to_pylist() == [1, None]
    assert table.column("s").to_pylist() == ["x", "NA"]


def test_a_type_found_late_holds_for_the_whole_column(tmp_path: Path) -> None:
    rows = 1_200_000
    path = csv(tmp_path, b"a,b\n" + b"12345,1\n" * rows + b"word,1.5\n")
    table = read_table(path)
    assert [str(kind) for kind in table.schema.types] == ["string", "double"]
    assert table.num_rows == rows + 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("007", "012"),
        ("00", "-01"),
        ("12345678901234567890", "12345678901234567891"),
    ],
)
def test_digits_that_a_number_would_lose_stay(tmp_path: Path, first: str, second: str) -> None:
    path = csv(tmp_path, f"id,n\n{first},1\n{second},2\n,3\n")
    assert read_table(path).to_pydict() == {"id": [first, second, None], "n": [1, 2, 3]}


def test_ordinary_numbers_stay_numbers_beside_padded_ones(tmp_path: Path) -> None:
    path = csv(tmp_path, "code,x,y,big\n01,0,0.5,9007199254740993\n02,10,-0.25,1e19\n")
    assert read_table(path).to_pydict() == {
        "code": ["01", "02"],
        "x": [0, 10],
        "y": [0.5, -0.25],
        "big": [9007199254740993.0, 1e19],
    }


def test_utf8_mark_and_crlf_are_read_over(tmp_path: Path) -> None:
    path = csv(tmp_path, "name,n\r\nZoë,1\r\n".encode("utf-8-sig"))
    assert read_table(path).to_pydict() == {"name": ["Zoë"], "n": [1]}


def test_a_stray_quote_inside_a_value_is_no_fault(tmp_path: Path) -> None:
    path = csv(tmp_path, 'n,size\n1,5" pipe\n2,plain\n')
    assert read_table(path).column("size").to_pylist() == ['5" pipe', "plain"]


def test_arrow_streams_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "stream.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, plain().schema) as writer:
        writer.write_table(plain())
    assert read_table(path).equals(plain())


# --- files: how text is laid out


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"a;b\n1;x,y\n", "t.csv", {"a": [1], "b": ["x,y"]}),
        (b"a\tb\n1\tx,y\n", "t.csv", {"a": [1], "b": ["x,y"]}),
        (b"a|b\n1|x\n", "t.csv", {"a": [1], "b": ["x"]}),
        (b"a,b\n1,x\n", "t.tsv", {"a": [1], "b": ["x"]}),
        (b"a,b;c\n1,x\n", "t.csv", {"a": [1], "b;c": ["x"]}),
        (b"a,b\tc\n1\tx\n", "t.tsv", {"a,b": [1], "c": ["x"]}),
        (b'"a;b"\n1\n', "t.csv", {"a;b": [1]}),
        (b'\n"a,b";"c\nd"\n1;2\n', "t.csv", {"a,b": [1], "c\nd": [2]}),
        (b"a;b\n1,5;2\n-3,25;4\n", "t.csv", {"a": [1.5, -3.25], "b": [2, 4]}),
        (b'a;b\n"1,5";2\n2;4\n', "t.csv", {"a": [1.5, 2.0], "b": [2, 4]}),
        (b"a;b\n1.5;1,2\n2.5;x\n", "t.csv", {"a": [1.5, 2.5], "b": ["1,2", "x"]}),
        (b"a;b\n0071;1,5\n1;2", "t.csv", {"a": ["0071", "1"], "b": [1.5, 2.0]}),
    ],
)
def test_the_header_tells_what_separates_and_numbers_their_mark(
    tmp_path: Path, content: bytes, name: str, expected: dict[str, Any]
) -> None:
    assert read_table(csv(tmp_path, content, name)).to_pydict() == expected


def test_a_csv_is_written_as_the_one_it_came_from(tmp_path: Path) -> None:
    source = csv(tmp_path, "a;b\n1,5;x,y\n2;z\n", "in.csv")
    table = read_table(source).append_column("s", pa.array([0.25, 1e-05]))
    write_table(table, tmp_path / "out.csv", like=source)
    assert (tmp_path / "out.csv").read_text() == "a;b;s\n1,5;x,y;0,25\n2;z;0,00001\n"
    assert read_table(tmp_path / "out.csv") == table
    write_table(table, tmp_path / "out.tsv", like=source)
    assert (tmp_path / "out.tsv").read_text().startswith("a\tb\ts\n1.5\tx,y\t0.25\n")


# --- files: what is broken is named


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a,b\n", "a header and no rows"),
        (b"a,b", "a header and no rows"),
        (b"a,b\n\n\n", "a header and no rows"),
        (b"a,b\n1,2\n3,4,5\n", "row 2 (the header not counted): 3 values where the header names 2"),
        (b"a,b\n1,2\n3\n", "row 2 (the header not counted): 1 values where the header names 2"),
        (b'a,b\n"x\ny",2\n3\n', "row 2 (the header not counted)"),
        (b"a,b,a,b,c\n1,2,3,4,5\n", "the column name 'a', 'b' stands there more than once"),
        (b"a,a\n007,1\n", "the column name 'a' stands there more than once"),
        ("a,b\n1,x\n2,é\n".encode("latin-1"), "line 3: not UTF-8 text (byte 0xe9); save the file"),
        ("é,b\n1,2\n".encode("latin-1"), "line 1: not UTF-8 text"),
        ("a,b\n1,é,3\n".encode("latin-1"), "line 2: not UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16"), "looks like UTF-16"),
        (b"PK\x03\x04\0\0\0\0", "looks like UTF-16 or a binary file"),
        (b"a;b\n1;2\n3\n", "where the header names 2; quote values that hold a semicolon"),
        (b"a;b|c\n1;2|3\n", "one name for a header, 'a;b|c', with semicolons and bars in it"),
        (b'a,b\n1,"cut off\n2,y\n', "row 1 (the header not counted): a quote is opened and never"),
        (b'a,b\n1,x\n2,"cut', "row 2 (the header not counted): a quote is opened and never"),
    ],
)
def test_a_broken_csv_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = csv(tmp_path, content)
    with pytest.raises(FileError) as caught:
        read_table(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_quote_that_swallows_many_blocks_is_named(tmp_path: Path) -> None:
    path = csv(tmp_path, b'a,b\n1,"' + b"x\n" * 9_000_000)
    with pytest.raises(FileError, match="a quote is opened and never closed"):
        read_table(path)


def test_what_is_no_table_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no such file: .*missing\.csv"):
        read_table(tmp_path / "missing.csv")
    with pytest.raises(FileError, match="is a folder"):
        read_table(_made(tmp_path / "folder.csv"))
    with pytest.raises(FileError, match=r"\.xlsx is not a known table format; one of \.csv"):
        read_table(csv(tmp_path, "x", "book.xlsx"))
    with pytest.raises(FileError, match="no suffix is not a known table format"):
        read_table(csv(tmp_path, "x", "table"))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv.gz"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    write_table(plain(), path)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        path.write_bytes(whole[:size])
        with pytest.raises(FileError, match=r"is damaged, cut off or of another format|is empty"):
            read_table(path)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather", ".csv.gz"])
def test_a_wrong_suffix_is_refused(tmp_path: Path, suffix: str) -> None:
    path = csv(tmp_path, "a,b\n1,2\n", f"table{suffix}")
    with pytest.raises(FileError, match="of another format"):
        read_table(path)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_text_that_is_none_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    buffers = [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
    write_table(pa.table({"s": pa.Array.from_buffers(pa.string(), 1, buffers)}), path)
    with pytest.raises(FileError, match="is damaged, cut off or of another format"):
        read_table(path)


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> pa.Table:
        raise PermissionError

    # A test that runs as root cannot take its own permission away.
    monkeypatch.setattr(files, "_read_parquet", closed)
    with pytest.raises(FileError, match="may not be read; check the file's permissions"):
        read_table(csv(tmp_path, "x", "table.parquet"))


def test_tables_without_rows_or_columns_are_refused_in_every_format(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(plain().slice(0, 0), path)
    with pytest.raises(FileError, match="a header and no rows"):
        read_table(path)
    write_table(pa.table({}), path)
    with pytest.raises(FileError, match="holds no columns"):
        read_table(path)


def test_file_errors_are_what_a_caller_would_catch(tmp_path: Path) -> None:
    for guess in (OSError, ValueError, AskewError, DataError):
        with pytest.raises(guess):
            read_table(tmp_path / "missing.csv")


# --- files: nothing half-written


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 20,000 bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write_table(plain(), path)
    before = path.read_bytes()
    big = pa.table({"x": np.random.default_rng(0).normal(size=100_000)})
    with pytest.raises(FileError, match="was not written"):
        write_table(big, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(table: pa.Table, file: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_write_parquet", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_table(plain(), tmp_path / "out.parquet")
    assert os.listdir(tmp_path) == []


def test_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no such folder: .*nowhere"):
        write_table(plain(), tmp_path / "nowhere" / "out.csv")
    with pytest.raises(FileError, match="is a folder"):
        write_table(plain(), _made(tmp_path / "out.csv"))
    with pytest.raises(FileError, match="is not a known table format"):
        write_table(plain(), tmp_path / "out.txt")


@pytest.mark.parametrize("column", [pa.array([[1], [2]]), pa.array([b"\xff", b""])])
def test_a_column_that_csv_cannot_hold_is_named(tmp_path: Path, column: pa.Array) -> None:
    with pytest.raises(FileError, match=r"column 'x' holds (list|binary).*write \.parquet"):
        write_table(pa.table({"x": column}), tmp_path / "out.csv")
    assert os.listdir(tmp_path) == []


def test_a_link_is_written_through(tmp_path: Path) -> None:
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    write_table(pa.table({"a": [1]}), link)
    assert link.is_symlink()
    assert target.read_text() == "a\n1\n"


def test_zipped_csv_is_plain_gzip(tmp_path: Path) -> None:
    path = tmp_path / "out.csv.gz"
    write_table(pa.table({"a": [1, 2]}), path)
    assert gzip.decompress(path.read_bytes()) == b"a\n1\n2\n"


# --- files: part after part


def rich(n: int = 11) -> pa.Table:
    """Every odd kind of column; the dictionary differs from chunk to chunk."""
    words = [None if i % 4 == 3 else f"w{i}" for i in range(n)]
    chunks = [pa.array(words[i : i + 3]).dictionary_encode() for i in range(0, n, 3)]
    return pa.table(
        {
            "n": pa.array([None if i % 5 == 0 else i for i in range(n)], pa.int16()),
            "word": pa.chunked_array(chunks),
            "list": pa.array([None if i % 3 == 0 else [i, None] for i in range(n)]),
            "record": pa.array([None if i % 4 == 0 else {"a": i, "b": None} for i in range(n)]),
            "at": pa.array([NOON] * n, pa.timestamp("s")),
            "long": pa.array(words, pa.large_string()),
        },
        metadata={"made": "by hand"},
    )


def parquet(path: Path) -> None:
    with pq.ParquetWriter(path, rich().schema) as writer:
        for start in range(0, 11, 3):
            writer.write_table(rich().slice(start, 3))


def arrow_file(path: Path) -> None:
    options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
    with pa.ipc.new_file(path, rich().schema, options=options) as writer:
        writer.write_table(rich(), max_chunksize=3)


def arrow_stream(path: Path) -> None:
    with pa.ipc.new_stream(path, rich().schema) as writer:
        for batch in rich().to_batches():  # each with a dictionary of its own
            writer.write_batch(batch)


def plain_csv(path: Path) -> None:
    # What makes the column text stands in the last row only.
    path.write_text("a,b\n" + "".join(f"{i},{i}\n" for i in range(10)) + "007,\n")


SOURCES = {
    "t.parquet": parquet,
    "t.arrow": arrow_file,
    "s.arrow": arrow_stream,
    "t.csv": plain_csv,
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("rows", [1, 4, 11, 100])
def test_parts_joined_are_the_table(tmp_path: Path, name: str, rows: int) -> None:
    SOURCES[name](tmp_path / name)
    whole, parts = read_table(tmp_path / name), list(read_parts(tmp_path / name, rows))
    assert [part.num_rows for part in parts] == [rows] * (11 // rows) + [11 % rows] * (
        11 % rows > 0
    )
    for part in parts:
        assert part.schema.equals(whole.schema, check_metadata=True)
    assert pa.concat_tables(parts).to_pylist() == whole.to_pylist()
    assert whole.num_rows == 11


def test_the_same_faults_are_named(tmp_path: Path) -> None:
    for name, content, said in (
        ("gone.parquet", None, "no such file"),
        ("empty.arrow", b"", "is empty"),
        ("odd.xlsx", b"x", "is not a known table format"),
        ("odd.parquet", b"a,b\n1,2\n", "damaged, cut off or of another format"),
        ("odd.arrow", b"a,b\n1,2\n", "damaged, cut off or of another format"),
        ("twice.csv", b"a,a\n1,2\n", "more than once"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        for read in (read_table, lambda path: next(read_parts(path))):
            with pytest.raises(FileError, match=said):
                read(tmp_path / name)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_a_file_without_rows_or_with_a_name_twice_has_no_parts(tmp_path: Path, name: str) -> None:
    write_table(plain().slice(0, 0), tmp_path / name)
    with pytest.raises(FileError, match="a header and no rows"):
        next(read_parts(tmp_path / name))
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    write_table(twice, tmp_path / name)
    with pytest.raises(FileError, match="'a' stands there more than once"):
        next(read_parts(tmp_path / name))


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_a_damaged_part_comes_after_the_whole_ones(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    good = pa.table({"s": ["a", "b", "c", "d"]})
    buffers = [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
    bad = pa.table({"s": pa.Array.from_buffers(pa.string(), 1, buffers)})
    write_parts([good, bad], path)
    parts = read_parts(path, 4)
    assert next(parts).to_pydict() == good.to_pydict()
    with pytest.raises(FileError, match="is damaged, cut off or of another format"):
        next(parts)


class Counted(io.FileIO):
    """A file that tells how much was read of it."""

    n_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        self.n_read += len(data)
        return data


def test_reading_in_parts_holds_little_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.parquet"
    values = np.random.default_rng(0).normal(size=(4, 200_000))
    table = pa.table(dict(zip("abcd", values, strict=True)))
    pq.write_table(table, path, row_group_size=1000)
    size = table.nbytes
    del table, values
    opened = Counted(path)
    monkeypatch.setattr(Path, "open", lambda self, mode: opened)
    before, most, n = pa.total_allocated_bytes(), 0, 0
    for part in read_parts(path, 1000):
        n += part.num_rows
        most = max(most, pa.total_allocated_bytes() - before)
        # Not buffered ahead: that memory is not in Arrow's own count. Slack for the footer.
        assert opened.n_read < 1.5 * size * n / 200_000 + size / 10
    assert n == 200_000
    assert most < size / 10


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_parts_are_written_as_the_whole(tmp_path: Path, suffix: str) -> None:
    table = plain().append_column("kind", pa.array(["x", "y", "x"]).dictionary_encode())
    whole, parts = (tmp_path / f"{name}{suffix}" for name in ("whole", "parts"))
    write_table(table, whole)
    write_parts(iter([table.slice(0, 2), table.slice(2)]), parts)
    if suffix.endswith((".csv", ".tsv")):
        assert whole.read_bytes() == parts.read_bytes()
    assert read_table(parts).equals(read_table(whole))
    assert read_table(parts).to_pydict() == table.to_pydict()


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_dictionaries_that_differ_between_parts_are_kept(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    nested = pa.StructArray.from_arrays([rich().column("word").combine_chunks()], ["word"])
    table = rich().append_column("nested", nested)
    for parts in ([table], [table.slice(0, 4), table.slice(4)]):
        write_parts(parts, path)
        assert read_table(path).schema.field("word").equals(table.schema.field("word"))
        if suffix == ".arrow":
            assert read_table(path).schema.equals(table.schema)
        assert read_table(path).to_pylist() == table.to_pylist()


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_what_fails_between_parts_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write_table(plain(), path)
    before = path.read_bytes()

    def cut_short() -> Iterator[pa.Table]:
        yield plain()
        raise DataError("row 4 is odd")

    with pytest.raises(DataError, match=r"^row 4 is odd$"):
        write_parts(cut_short(), path)
    for other, said in (
        (
            plain().drop_columns("b"),
            r"the first part has the column 'b' \(bool\), a later one has none",
        ),
        (
            plain().append_column("z", [[1, 2, 3]]),
            r"the column none, a later one has 'z' \(int64\)",
        ),
        (
            plain().set_column(0, "n", [["1", "2", "3"]]),
            r"the column 'n' \(int64\), a later one has 'n' \(string\)",
        ),
    ):
        with pytest.raises(FileError, match=rf"was not written: .*{said}"):
            write_parts([plain(), other], path)
    with pytest.raises(FileError, match="was not written: there is no part"):
        write_parts([], path)
    with pytest.raises(FileError, match="part has the column none, a later one has 'n'"):
        write_parts([pa.table({}), plain()], path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_writing_in_parts_lets_go_of_each(tmp_path: Path, suffix: str) -> None:
    made: list[weakref.ref[pa.Table]] = []
    alive: list[int] = []

    def parts() -> Iterator[pa.Table]:
        for i in range(20):
            part = pa.table({"a": [i]})
            made.append(weakref.ref(part))
            yield part
            del part
            alive.append(sum(ref() is not None for ref in made))

    write_parts(parts(), tmp_path / f"out{suffix}")
    assert read_table(tmp_path / f"out{suffix}").column("a").to_pylist() == list(range(20))
    # The part just written, which its writer forgets with the next one.
    assert max(alive) == 1


# --- frames


def test_every_library_becomes_the_same_frame() -> None:
    data = {"n": [1, 2], "s": ["a", "b"]}
    for native in (
        pd.DataFrame(data),
        pl.DataFrame(data),
        pa.table(data),
        pa.RecordBatch.from_pydict(data),
        to_frame(pl.DataFrame(data)),
    ):
        frame = to_frame(native)
        assert frame.columns == ["n", "s"]
        assert frame.get_column("s").to_list() == ["a", "b"]


def test_names_that_are_numbers_become_strings() -> None:
    native = pd.DataFrame(np.eye(2))
    assert to_frame(native).columns == ["0", "1"]
    assert list(native.columns) == [0, 1]


def test_what_is_no_frame_is_refused() -> None:
    for wrong in ({"a": [1]}, [[1]], pd.Series([1]), np.eye(2), "table.csv", None):
        with pytest.raises(DataError, match="a pandas or polars DataFrame, a pyarrow Table or"):
            to_frame(wrong)
    with pytest.raises(DataError, match=r"call \.collect\(\)"):
        to_frame(pl.LazyFrame({"a": [1]}))


@pytest.mark.parametrize(
    "native",
    [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=["1", 1]),
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
    ],
)
def test_repeated_names_are_refused(native: Any) -> None:
    with pytest.raises(DataError, match="stands in the table more than once"):
        to_frame(native)


@pytest.mark.parametrize(
    "X",
    [
        np.array([[1.5, np.nan], [3.0, 4.0]]),
        np.array([[1, 2], [3, 4]], dtype=np.uint8),
        np.array([[True, False], [False, True]]),
        np.array([[1.5, 2.5]], dtype=np.float16),
        np.array([[1, 2.5], [None, True]], dtype=object),
        np.asfortranarray(np.arange(6.0).reshape(3, 2))[::2],
    ],
)
def test_an_array_becomes_a_frame_of_numbers(X: np.ndarray[Any, Any]) -> None:
    frame = array_frame(X)
    assert frame.columns == ["x0", "x1"]
    got = np.column_stack([frame.get_column(name).to_numpy() for name in frame.columns])
    np.testing.assert_array_equal(got.astype(float), X.astype(float))


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (np.arange(3), "Expected 2D array .* got an array of 1 dimension.*Reshape your data"),
        (np.array([["a"]]), "an array of <U1 was found; every column of an array must hold numb"),
        (np.array([[1j]]), "Complex data not supported"),
        (np.array([[1, 2], [3, "word"]], dtype=object), "column 'x1', row 2: found 'word'"),
        (np.array([[1, {}]], dtype=object), "column 'x1', row 1: found {}"),
    ],
)
def test_an_array_of_something_else_is_refused(X: np.ndarray[Any, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        array_frame(X)


# --- keys


def test_keys_are_the_id_column_then_the_index_then_nothing() -> None:
    native = pd.DataFrame({"tx": ["a", "b"], "n": [1, 2]}, index=[7, 9])
    assert row_keys(native, "tx") == ["a", "b"]
    assert row_keys(native) == [7, 9]
    assert row_keys(pl.from_pandas(native), "n") == [1, 2]
    assert row_keys(pl.from_pandas(native)) is None
    assert row_keys(pa.table({"tx": [DAY]}), "tx") == [DAY]
    assert row_keys(np.eye(2)) is None


def test_repeated_ids_are_named_with_their_rows() -> None:
    native = pa.table({"tx": ["a", "b", "a", "c", "b", "a"]})
    with pytest.raises(DataError, match=r"id column 'tx'.*'a' in rows 1 and 3, 'b' in rows 2 and"):
        row_keys(native, "tx")
    many = pa.table({"tx": [i // 2 for i in range(20)]})
    with pytest.raises(DataError, match=r"0 in rows 1 and 2.* and 7 more"):
        row_keys(many, "tx")
    with pytest.raises(DataError, match=r"the index names rows twice: 1 in rows 1 and 2"):
        row_keys(pd.DataFrame({"n": [1, 2]}, index=[1, 1]))


@pytest.mark.parametrize(
    "native",
    [
        pd.DataFrame({"tx": ["a", None, "b", None]}),
        pd.DataFrame({"tx": [1.0, np.nan, 2.0, np.nan]}),
        pd.DataFrame({"tx": pd.array([1, None, 2, None], dtype="Int64")}),
        pd.DataFrame({"tx": pd.to_datetime(["2024-01-01", None, "2024-01-02", None])}),
        pl.DataFrame({"tx": ["a", None, "b", ""]}),
        pa.table({"tx": [1, None, 2, None]}),
    ],
)
def test_missing_ids_are_named_with_their_rows(native: Any) -> None:
    with pytest.raises(DataError, match="2 of 4 ids are missing, the first in row 2, 4"):
        row_keys(native, "tx")


def test_an_id_column_that_cannot_be_one_is_named() -> None:
    with pytest.raises(DataError, match="there is no id column 'id'; the columns are 'tx', 'n'"):
        row_keys(pa.table({"tx": [1], "n": [2]}), "id")
    with pytest.raises(DataError, match="'tx' holds lists or records"):
        row_keys(pa.table({"tx": [[1]]}), "tx")
