"""Text and tables: what was written is read back, and each kind of bad file has its sentence."""

import csv
import gzip
import io

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphtide.errors import InputError
from graphtide.files import numeric_column, read_table, read_text, write_table, write_text

cell = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip)
name = cell.filter(bool)


@given(
    names=st.lists(name, min_size=1, max_size=5, unique=True),
    rows=st.data(),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.sampled_from(["", "\ufeff"]),
    compressed=st.booleans(),
)
def test_table_is_read_back_whatever_the_dress(
    tmp_path_factory, names, rows, ending, mark, compressed
):
    # A row whose cells are all blank is no record, so the first cell is never blank.
    record = st.tuples(name, *[cell] * (len(names) - 1))
    records = rows.draw(st.lists(record, min_size=1, max_size=4))
    stream = io.StringIO()
    csv.writer(stream, lineterminator=ending).writerows([names, *records])
    data = (mark + stream.getvalue()).encode()
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_bytes(gzip.compress(data) if compressed else data)
    frame = read_table(path)
    assert list(frame.columns) == names
    assert [tuple(row) for row in frame.to_numpy()] == records


@pytest.mark.parametrize("file_name", ["a.csv", "a.csv.gz"])
def test_written_numbers_keep_every_digit(tmp_path, file_name):
    values = np.array([0.1, 1 / 3, 1e-300, -7.0, 2.0**53])
    write_table(tmp_path / file_name, pandas.DataFrame({"x": values}))
    frame = read_table(tmp_path / file_name)
    np.testing.assert_array_equal(numeric_column(frame, "x", source="a"), values)


def test_missing_cells_are_not_a_number(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n,1\nNA,2\nnan,3\n4,\n")
    frame = read_table(path)
    np.testing.assert_array_equal(
        numeric_column(frame, "x", source=path), [np.nan, np.nan, np.nan, 4]
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\x00\x01", "binary file"),
        (b"\x1f\x8b\x08\x00broken", "damaged gzip"),
        (b"x,y\n1,\xff\n", "line 2: not UTF-8"),
        (b"x,x\n1,2\n", r"column 'x' stands twice \(columns 1, 2\)"),
        (b"x,,z\n1,2,3\n", "column 2 of the header has no name"),
        (b"x,y\n", "a header but no rows"),
        (b"x,y\n1,2\n\n3\n", "row 4: 1 cells where the header has 2 columns"),
        (b'x,y\n"1,2\n', "not a CSV table"),
    ],
)
def test_bad_file_gets_one_sentence_that_names_it(tmp_path, content, sentence):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        read_table(path)
    assert "bad.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_text(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_text(tmp_path)


@pytest.mark.parametrize(
    ("cell_text", "sentence"),
    [("many", "row 3, column 'x': 'many' is not a number"), ("-inf", "row 3, column 'x': infinit")],
)
def test_bad_number_is_named_with_row_and_column(tmp_path, cell_text, sentence):
    path = tmp_path / "a.csv"
    path.write_text(f"x\n1\n{cell_text}\n")
    with pytest.raises(InputError, match=sentence):
        numeric_column(read_table(path), "x", source=path)
    with pytest.raises(InputError, match="column 'z' is missing; the columns are x"):
        numeric_column(read_table(path), "z", source=path)


def test_interrupted_write_leaves_the_old_file_and_no_debris(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr("os.fsync", lambda _descriptor: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
