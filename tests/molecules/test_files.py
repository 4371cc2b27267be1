"""Files of molecules: round trips, garbage in its place, and clear words."""

import gzip

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphtide.errors import InputError
from graphtide.molecules.files import read_molecules, write_molecules

SMILES = ("CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O", "[NH4+].[Cl-]", "c1ccc2[nH]ccc2c1", "F/C=C/F")


@pytest.mark.parametrize("name", ["m.smi", "m.txt", "m.csv", "m.tsv", "m.sdf"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_molecules_come_back_the_same(tmp_path, name, packed):
    path = tmp_path / (name + packed)
    write_molecules(path, SMILES, {"name": ["a", "b c", "d", "e", "f,g"]})
    read = read_molecules(path)
    assert read.columns == {"name": ("a", "b c", "d", "e", "f,g")}
    if ".sdf" in name:
        from rdkit import Chem

        assert read.smiles == tuple(Chem.CanonSmiles(text) for text in SMILES)
    else:
        assert read.smiles == SMILES
    if packed:
        assert path.read_bytes()[:2] == b"\x1f\x8b"


def test_other_columns_come_back_from_tables_and_sdf(tmp_path):
    for name in ("m.csv", "m.sdf"):
        write_molecules(tmp_path / name, ["CCO", "C"], {"logp": [0.5, -1], "kind": ["a", "b"]})
        read = read_molecules(tmp_path / name)
        assert read.columns == {"logp": ("0.5", "-1"), "kind": ("a", "b")}


def test_garbage_stays_in_its_place_with_its_line(tmp_path):
    path = tmp_path / "m.smi"
    path.write_bytes(
        b"\xef\xbb\xbfsmiles name\r\nCCO ethanol\r\n\r\n\xff\x00?? x\r\nnot-a-molecule\rC\n"
    )
    read = read_molecules(path)
    assert read.smiles == ("CCO", "\ufffd\x00??", "not-a-molecule", "C")
    assert read.lines == (2, 4, 5, 6)
    assert read.blank_lines == 1
    assert read.columns["name"] == ("ethanol", "x", "", "")


def test_a_table_survives_ragged_rows_and_an_open_quotation_mark(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text('id,SMILES,note\n1,CCO,"two\nlines"\n2,CC\n3,C,a,b\n4,"N,open\n5,O,last\n')
    read = read_molecules(path)
    assert read.smiles == ("CCO", "CC", "C", '"N', "O")
    assert read.lines == (2, 4, 5, 6, 7)
    assert read.columns["note"] == ("two\nlines", "", "a,b", "open", "last")


def test_an_sdf_record_that_makes_no_sense_leaves_an_empty_molecule(tmp_path):
    path = tmp_path / "m.sdf"
    write_molecules(path, ["CCO", "c1ccccc1"])
    good = path.read_text()
    first = good.index("$$$$\n") + 5
    path.write_text(good[:first] + "garbage\n$$$$\n" + good[first:])
    read = read_molecules(path)
    assert read.smiles == ("CCO", "", "c1ccccc1")
    assert read.lines[1] == good[:first].count("\n") + 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.smi", b"", "is empty"),
        ("m.xyz", b"C", "tells no format"),
        ("m.csv", b"id,value\n1,2\n", "no column of SMILES"),
        ("m.csv.gz", gzip.compress(b"smiles\nC\n", mtime=0)[:-6], "damaged gzip"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_molecules(path)


def test_missing_files_and_columns_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_molecules(tmp_path / "m.smi")
    (tmp_path / "m.csv").write_text("smiles\nC\n")
    with pytest.raises(InputError, match="no column 'drug'"):
        read_molecules(tmp_path / "m.csv", column="drug")
    with pytest.raises(InputError, match="not 'x'"):
        write_molecules(tmp_path / "o.smi", ["C"], {"x": [1]})
    with pytest.raises(InputError, match="2 values for 1 molecules"):
        write_molecules(tmp_path / "o.csv", ["C"], {"x": [1, 2]})
    with pytest.raises(InputError, match="molecule 2, 'nonsense'"):
        write_molecules(tmp_path / "o.sdf", ["C", "nonsense"])


@given(content=st.binary(min_size=1, max_size=300), kind=st.sampled_from([".smi", ".sdf"]))
def test_no_bytes_stop_the_reader(tmp_path_factory, content, kind):
    path = tmp_path_factory.mktemp("any") / f"m{kind}"
    path.write_bytes(content)
    gzipped = content.startswith(b"\x1f\x8b")
    if gzipped or not content.decode("utf-8-sig", errors="replace").strip():
        with pytest.raises(InputError, match=r"empty|gzip"):
            read_molecules(path)
        return
    read = read_molecules(path)
    assert len(read.lines) == len(read.smiles)
    assert list(read.lines) == sorted(set(read.lines))


@given(rows=st.lists(st.text(max_size=30), min_size=1, max_size=8))
@example(rows=['0"', '"'])
def test_no_text_below_a_header_stops_the_reader_of_tables(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "m.csv"
    path.write_text("smiles,note\n" + "\n".join(rows) + "\nCCO,last\n", encoding="utf-8")
    read = read_molecules(path)
    assert set(read.columns) == {"note"}
    assert len(read.smiles) == len(read.lines) == len(read.columns["note"])
    assert read.smiles[-1].endswith("CCO") or "last" in read.columns["note"][-1]
