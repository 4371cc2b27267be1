"""Named laws of network dynamics, with their sources, default parameters and sensible starts.

dx_i/dt = F(x_i, t) + sum_j A_ij G(x_i, x_j), and three laws of growth without a network.

References:
    Barzel & Barabasi, Nature Physics 9 (2013) 673: biochemical, gene, epidemic and other laws.
    Gao, Barzel & Barabasi, Nature 530 (2016) 307: gene regulation, mutualistic ecosystems.
    Zang & Wang, KDD 2020: heat, gene and mutualistic dynamics as a test of learning (NDCN).
    Gao & Yan, Nature Computational Science 2 (2022) 160: FitzHugh-Nagumo and Rossler networks.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.spread.laws import EPIDEMIC_LAWS

__all__ = [
    "CATALOGUE",
    "Entry",
    "default_times",
    "entry_of",
    "ndcn_start",
    "random_start",
    "resolve",
]

Sampler = Callable[[Graph, np.random.Generator], np.ndarray]


@dataclass(frozen=True, slots=True)
class Entry:
    """A law of the catalogue.

    Attributes:
        name: its name on the command line.
        equation: the law with its default parameters.
        description: what it models, in one sentence.
        reference: where it comes from.
        times: (first, last, count) of a time range in which something happens.
        start: random start, shape (N, D), from a graph and a generator.
        attributes: node attributes that the law reads and a graph may lack, each sampled alike.
    """

    name: str
    equation: Equation
    description: str
    reference: str
    times: tuple[float, float, int]
    start: Sampler
    attributes: Mapping[str, Sampler] = field(default_factory=dict)


def resolve(source: str) -> Equation:
    """Return the equation that a text names.

    Args:
        source: a run's folder that holds equation.json, an equation.json, a name of the catalogue,
            or the text of an equation.

    Raises:
        InputError: it is none of these.
    """
    if source in CATALOGUE:
        return CATALOGUE[source].equation
    if "=" in source:
        return Equation.parse(source)
    path = Path(source)
    if path.is_dir():
        if not (path / "equation.json").is_file():
            learned = (path / "model.json").is_file()
            hint = "; a learned field is run by: graphtide dynamics predict" if learned else ""
            raise InputError(f"the folder {path} holds no equation.json{hint}")
        return Equation.read(path / "equation.json")
    if path.is_file() or path.suffix == ".json":
        return Equation.read(path)
    close = difflib.get_close_matches(source, CATALOGUE, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"the names are {', '.join(CATALOGUE)}"
    raise InputError(
        f"'{source}' is no name of the catalogue, no file and no equation 'dx/dt = ...'; {hint}"
    )


def entry_of(equation: Equation) -> Entry | None:
    """Return the entry with the same right-hand sides, whatever the parameter values."""
    for entry in CATALOGUE.values():
        same = entry.equation.expressions == equation.expressions
        if same and entry.equation.variables == equation.variables:
            return entry
    return None


def default_times(equation: Equation) -> np.ndarray:
    """Return times (T,) over which something happens: those of the catalogue's entry.

    Raises:
        InputError: the equation is none of the catalogue's.
    """
    entry = entry_of(equation)
    if entry is None:
        raise InputError(
            "the equation is not one of the catalogue, so its times are not known: give them "
            "(--times START:STOP:COUNT)"
        )
    first, last, count = entry.times
    return np.linspace(first, last, count)


def random_start(equation: Equation, graph: Graph, seed: int = 0) -> np.ndarray:
    """Return a random start of shape (N, D): the entry's of the catalogue, else uniform on [0, 1].

    Args:
        equation: a law, of the catalogue or not.
        graph: the network.
        seed: of the generator.
    """
    generator = np.random.default_rng(seed)
    entry = entry_of(equation)
    if entry is not None:
        return entry.start(graph, generator)
    return generator.uniform(0.0, 1.0, (graph.node_count, len(equation.variables)))


def ndcn_start(graph: Graph) -> np.ndarray:
    """Return the start of Zang & Wang's tests, shape (N, 1): three warm blocks on a square, else 0.

    Nodes 0, 1, 2, ... fill the rows of a square of side S = ceil(sqrt(N)); S is 20 for their 400
    nodes. Rows and columns [0.05 S, 0.25 S) are 25; [0.45 S, 0.75 S) are 20; rows [0.05 S, 0.25 S)
    by columns [0.35 S, 0.65 S) are 17 (their heat_dynamics.py; they first sort the nodes of graphs
    other than the grid by community).
    """
    side = math.isqrt(max(graph.node_count - 1, 0)) + 1
    square = np.zeros((side, side))

    def block(first: float, last: float) -> slice:
        return slice(int(first * side), int(last * side))

    square[block(0.05, 0.25), block(0.05, 0.25)] = 25.0
    square[block(0.45, 0.75), block(0.45, 0.75)] = 20.0
    square[block(0.05, 0.25), block(0.35, 0.65)] = 17.0
    return square.reshape(-1, 1)[: graph.node_count]


def _uniform(*ranges: tuple[float, float]) -> Sampler:
    """Return a sampler, uniform on one range a variable."""

    def sample(graph: Graph, generator: np.random.Generator) -> np.ndarray:
        columns = [generator.uniform(low, high, graph.node_count) for low, high in ranges]
        return np.stack(columns, axis=-1)

    return sample


def _outbreak(graph: Graph, generator: np.random.Generator) -> np.ndarray:
    """Return S, I, R: about one node in twenty (at least one) mostly infected."""
    infected = np.zeros(graph.node_count)
    count = max(1, graph.node_count // 20)
    infected[generator.permutation(graph.node_count)[:count]] = 0.9
    return np.stack([1.0 - infected, infected, np.zeros(graph.node_count)], axis=-1)


def _exposure(graph: Graph, generator: np.random.Generator) -> np.ndarray:
    """Return S, E, I, R: the outbreak's infected are exposed as likely as infectious."""
    susceptible, infected, recovered = _outbreak(graph, generator).T
    return np.stack([susceptible, infected / 2, infected / 2, recovered], axis=-1)


def _balanced_power(graph: Graph, generator: np.random.Generator) -> np.ndarray:
    """Return generation minus consumption of each node, normal with mean 0, adding up to 0."""
    power = generator.normal(0.0, 0.3, graph.node_count)
    return power - power.mean()


def _first_node(graph: Graph, generator: np.random.Generator) -> np.ndarray:
    """Return 1 at the first node and 0 elsewhere."""
    del generator
    marked = np.zeros(graph.node_count)
    marked[:1] = 1.0
    return marked


def _entry(
    name: str,
    text: str,
    parameters: Mapping[str, float],
    description: str,
    reference: str,
    times: tuple[float, float, int],
    start: Sampler,
    **attributes: Sampler,
) -> Entry:
    equation = Equation.parse(text, parameters=parameters)
    return Entry(name, equation, description, reference, times, start, attributes)


_ENTRIES = (
    _entry(
        "heat",
        "dx/dt = k*sum_j A_ij*(x_j - x_i)",
        {"k": 1.0},
        "Heat flows along edges from warm to cold nodes; the sum of x is kept.",
        "Newton's law of cooling on a graph; Zang & Wang 2020, section 4",
        (0.0, 5.0, 121),
        _uniform((0.0, 25.0)),
    ),
    _entry(
        "gene",
        "dx/dt = -b*x^f + sum_j A_ij*hill(x_j, h)",
        {"b": 1.0, "f": 1.0, "h": 2.0},
        "Gene expression: degradation, and activation by the Hill function (Michaelis-Menten).",
        "Gao, Barzel & Barabasi 2016",
        (0.0, 5.0, 121),
        _uniform((0.0, 25.0)),
    ),
    _entry(
        "mutualistic",
        "dx/dt = b + x*(1 - x/k)*(x/c - 1) + sum_j A_ij*x_i*x_j/(d + e*x_i + h*x_j)",
        {"b": 0.1, "k": 5.0, "c": 1.0, "d": 5.0, "e": 0.9, "h": 0.1},
        "Abundances: immigration, logistic growth with Allee effect, saturating mutualism. The "
        "node itself carries e = 0.9; NDCN's code has its neighbour carry it: e = 0.1, h = 0.9.",
        "Gao, Barzel & Barabasi 2016",
        (0.0, 5.0, 121),
        _uniform((0.0, 25.0)),
    ),
    _entry(
        "si",
        EPIDEMIC_LAWS["si"].text,
        {"beta": 0.2},
        "Probability of being infected where nobody recovers.",
        "Bailey, The Mathematical Theory of Epidemics, 1957; mean field by node",
        (0.0, 10.0, 121),
        _uniform((0.0, 0.02)),
    ),
    _entry(
        "sis",
        EPIDEMIC_LAWS["sis"].text,
        {"delta": 1.0, "beta": 0.3},
        "Probability of being infected where recovery leaves no immunity.",
        "Pastor-Satorras & Vespignani, Physical Review Letters 86 (2001) 3200; mean field by node",
        (0.0, 5.0, 121),
        _uniform((0.0, 0.2)),
    ),
    _entry(
        "sir",
        EPIDEMIC_LAWS["sir"].text,
        {"beta": 0.2, "gamma": 0.5},
        "Probabilities of being susceptible, infected and recovered; they add up to 1.",
        "Kermack & McKendrick 1927; Youssef & Scoglio, J. Theoretical Biology 283 (2011) 136",
        (0.0, 15.0, 121),
        _outbreak,
    ),
    _entry(
        "seir",
        EPIDEMIC_LAWS["seir"].text,
        {"beta": 0.2, "sigma": 1.0, "gamma": 0.5},
        "As sir, with a time between being infected (E) and infecting others (I).",
        "Anderson & May, Infectious Diseases of Humans, 1991; mean field by node",
        (0.0, 20.0, 121),
        _exposure,
    ),
    _entry(
        "lotka_volterra",
        "dx/dt = x*(alpha - theta*x) - beta*sum_j A_ij*x_i*x_j",
        {"alpha": 0.5, "theta": 0.5, "beta": 0.05},
        "Populations that compete with their neighbours.",
        "Lotka 1925, Volterra 1926; competitive form as in MacArthur 1970",
        (0.0, 10.0, 121),
        _uniform((0.1, 2.0)),
    ),
    _entry(
        "kuramoto",
        "dtheta/dt = omega + k*sum_j A_ij*sin(theta_j - theta_i)",
        {"omega": 0.5, "k": 0.1},
        "Coupled phase oscillators, phases in radians; for unequal frequencies write omega_i, a "
        "node attribute, in place of omega.",
        "Kuramoto 1975; Rodrigues et al., Physics Reports 610 (2016) 1",
        (0.0, 10.0, 121),
        _uniform((-math.pi, math.pi)),
    ),
    _entry(
        "wilson_cowan",
        "dx/dt = -x + c*sum_j A_ij*sigmoid(tau*(x_j - mu))",
        {"c": 0.6, "tau": 1.0, "mu": 1.0},
        "Activity of neurons that fire when their neighbours' activity passes a threshold.",
        "Wilson & Cowan, Biophysical Journal 12 (1972) 1",
        (0.0, 5.0, 121),
        _uniform((0.0, 5.0)),
    ),
    _entry(
        "fitzhugh_nagumo",
        "dx/dt = x - x^3 - y - epsilon*mean_j A_ij*(x_j - x_i), dy/dt = a + b*x + c*y",
        {"epsilon": 1.0, "a": 0.28, "b": 0.5, "c": -0.04},
        "Excitable neurons: membrane potential x and recovery y, coupled by the neighbours' mean.",
        "FitzHugh 1961, Nagumo et al. 1962; constants of Gao & Yan 2022",
        (0.0, 60.0, 401),
        _uniform((-1.0, 1.0), (-1.0, 1.0)),
    ),
    _entry(
        "rossler",
        "dx/dt = -y - z + epsilon*sum_j A_ij*sin(x_j - x_i), dy/dt = x + a*y, "
        "dz/dt = b + z*(x - c)",
        {"epsilon": 0.15, "a": 0.2, "b": 0.2, "c": 5.7},
        "Coupled chaotic oscillators: states after long times depend on every digit of the start.",
        "Rossler, Physics Letters A 57 (1976) 397; network as in Gao & Yan 2022",
        (0.0, 30.0, 601),
        _uniform((-5.0, 5.0), (-5.0, 5.0), (0.0, 0.1)),
    ),
    _entry(
        "biochemical",
        "dx/dt = f - b*x - r*sum_j A_ij*x_i*x_j",
        {"f": 1.0, "b": 1.0, "r": 0.1},
        "Concentrations of proteins: synthesis, degradation, binding to partners (mass action).",
        "Barzel & Barabasi 2013",
        (0.0, 5.0, 121),
        _uniform((0.0, 3.0)),
    ),
    _entry(
        "saturating_consensus",
        "dx/dt = k*sum_j A_ij*tanh(s*(x_j - x_i))",
        {"k": 1.0, "s": 1.0},
        "Opinions move towards the neighbours' with saturating influence; their sum is kept.",
        "Olfati-Saber & Murray, IEEE Trans. Automatic Control 49 (2004) 1520",
        (0.0, 5.0, 121),
        _uniform((-5.0, 5.0)),
    ),
    _entry(
        "swing",
        "dtheta/dt = omega, domega/dt = (P_i - d*omega + k*sum_j A_ij*sin(theta_j - theta_i))/m",
        {"m": 1.0, "d": 0.1, "k": 1.0},
        "Rotors of a power grid: angle (radians) and speed relative to the grid's frequency, fed "
        "by P_i, generation minus consumption.",
        "Filatrella, Nielsen & Pedersen, European Physical Journal B 61 (2008) 485",
        (0.0, 20.0, 201),
        _uniform((-0.5, 0.5), (0.0, 0.0)),
        P=_balanced_power,
    ),
    _entry(
        "newton_cooling",
        "dx/dt = k*(1 - ambient_i)*sum_j A_ij*(x_j - x_i)",
        {"k": 1.0},
        "Heat flow where the node whose attribute `ambient` is 1 (the first by default) keeps its "
        "temperature.",
        "Newton 1701; Dirichlet boundary on a graph",
        (0.0, 5.0, 121),
        _uniform((0.0, 25.0)),
        ambient=_first_node,
    ),
    _entry(
        "predator_prey",
        "dx/dt = a*x - b*x*y, dy/dt = c*b*x*y - d*y",
        {"a": 1.0, "b": 1.0, "c": 0.5, "d": 0.5},
        "Prey x, predators y, each node for itself; c*b*x - d*log(x) + b*y - a*log(y) is kept.",
        "Lotka 1925, Volterra 1926",
        (0.0, 20.0, 201),
        _uniform((0.5, 2.0), (0.5, 2.0)),
    ),
    _entry(
        "exponential",
        "dx/dt = r*x",
        {"r": 0.5},
        "Growth in proportion to what is there: x(t) = x(0) exp(r t).",
        "Malthus 1798",
        (0.0, 5.0, 121),
        _uniform((0.5, 1.5)),
    ),
    _entry(
        "power_law",
        "dx/dt = r*x^p",
        {"r": 1.0, "p": 0.5},
        "Growth slower than exponential: x(t) = (x(0)^(1 - p) + (1 - p) r t)^(1 / (1 - p)).",
        "von Bertalanffy 1957 without loss; West, Brown & Enquist, Nature 413 (2001) 628",
        (0.0, 5.0, 121),
        _uniform((0.5, 1.5)),
    ),
    _entry(
        "logistic",
        "dx/dt = r*x*(1 - x/K)",
        {"r": 1.0, "K": 10.0},
        "Growth up to a capacity: x(t) = K / (1 + (K/x(0) - 1) exp(-r t)).",
        "Verhulst 1838",
        (0.0, 10.0, 121),
        _uniform((0.1, 1.0)),
    ),
)

CATALOGUE: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""The entries by name."""
