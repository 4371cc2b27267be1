"""Molecules become typed graphs and come back the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphtide.errors import InputError
from graphtide.molecules.chemistry import (
    AtomType,
    canonical_smiles,
    parse_smiles,
    to_molecule,
    to_smiles,
    typed_graph,
)

MOLECULES = [
    "C",
    "[CH3]",
    "[NH4+]",
    "[O-][N+](=O)c1ccccc1",
    "c1cc[nH]c1",
    "c1ccncc1",
    "CS(=O)C",
    "CS(=O)(=O)N",
    "CS",
    "[C-]#[O+]",
    "O=P(O)(O)O",
    "FP(F)(F)(F)F",
    "[13CH4]",
    "[2H]C",
    "c1ccc2c(c1)c1ccccc1[nH]2",
    "C[N-]C",
    "[Fe]",
    "[Fe+2]",
    "C1CC2CC1C2",
    "O=c1[nH]c(=O)c2[nH]cnc2[nH]1",
    "OB(O)c1ccccc1",
    "C[Si](C)(C)C",
]


@pytest.mark.parametrize("smiles", MOLECULES)
def test_a_molecule_comes_back_the_same(smiles):
    graph = typed_graph(parse_smiles(smiles))
    assert to_smiles(graph.types, graph.bonds) == canonical_smiles(smiles)


@pytest.mark.parametrize("smiles", ["OCC", "C(O)C", "CCO"])
def test_equal_molecules_have_equal_graphs(smiles):
    graph = typed_graph(parse_smiles(smiles))
    reference = typed_graph(parse_smiles("CCO"))
    assert graph.types == reference.types
    np.testing.assert_array_equal(graph.bonds, reference.bonds)


def test_hydrogens_are_what_the_valence_leaves_over():
    graph = typed_graph(parse_smiles("CC(=O)[NH3+]"))
    by_type = dict(zip(map(str, graph.types), graph.hydrogens, strict=True))
    assert by_type["N(4)+"] == 3
    assert by_type["O(2)"] == 0
    assert sorted(graph.hydrogens.tolist()) == [0, 0, 3, 3]


def test_stereochemistry_is_set_aside():
    assert canonical_smiles("C[C@H](N)O") == canonical_smiles("C[C@@H](N)O")
    assert canonical_smiles("F/C=C/F") == canonical_smiles("F/C=C\\F")


@pytest.mark.parametrize("smiles", ["not a molecule", "", "C(C)(C)(C)(C)C", "c1ccccc"])
def test_what_is_no_molecule_is_refused(smiles):
    with pytest.raises(InputError):
        parse_smiles(smiles)


def test_a_dative_bond_is_refused_with_its_name():
    with pytest.raises(InputError, match="DATIVE"):
        typed_graph(parse_smiles("N->[Fe]"))


def test_too_many_bonds_are_refused_with_the_node():
    carbon, fluorine = AtomType("C", 0, 4), AtomType("F", 0, 1)
    bonds = np.array([[0, 1, 2]])
    with pytest.raises(InputError, match="node 1"):
        to_molecule([carbon, fluorine], bonds)


@given(
    st.builds(
        AtomType,
        st.sampled_from(["C", "N", "Cl", "*", "Fe"]),
        st.integers(-3, 3),
        st.integers(0, 8),
        st.integers(0, 60),
    )
)
def test_names_of_types_are_read_back(kind):
    assert AtomType.parse(str(kind)) == kind


@given(st.text())
def test_other_names_are_refused(text):
    try:
        kind = AtomType.parse(text)
    except InputError:
        return
    assert AtomType.parse(str(kind)) == kind


@given(st.text(alphabet="CNOS()=#123[]+-Hclno.", max_size=20))
def test_any_text_is_a_molecule_that_comes_back_or_is_refused(text):
    try:
        graph = typed_graph(parse_smiles(text))
    except InputError:
        return
    assert to_smiles(graph.types, graph.bonds) == canonical_smiles(text)
