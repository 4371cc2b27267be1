"""Explicit Runge-Kutta methods as data: Butcher tableaus with their embedded and dense weights.

    k_i = f(t + c_i h, y + h sum_{j<i} a_ij k_j),   y(t + h) = y + h sum_i b_i k_i
    error = h sum_i e_i k_i,   y(t + s h) = y + h sum_i b_i(s) k_i,   b_i(s) = sum_m d_im s^(m+1)

The error weights e = b - bhat are stored themselves. Rational coefficients are exact fractions, so
that the order conditions can be checked without round-off.

Sources: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I (1993), II.1-II.6;
Bogacki, Shampine, Applied Mathematics Letters 2 (1989); Dormand, Prince, Journal of Computational
and Applied Mathematics 6 (1980), dense output of Shampine, Mathematics of Computation 46 (1986);
Tsitouras, Computers and Mathematics with Applications 62 (2011), table 1 and its interpolant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction as F

from graphtide.errors import InputError
from graphtide.ode.dormand_prince8 import DENSE, ERROR, NODES, SECOND_ERROR, STAGES, WEIGHTS

__all__ = ["TABLEAUS", "Tableau"]

Number = F | float
Row = tuple[Number, ...]


@dataclass(frozen=True, slots=True, eq=False)  # caches find one by its identity, at no cost
class Tableau:
    """The coefficients of one explicit method with s stages.

    Args:
        name: name in the table of methods.
        order: order p of convergence.
        nodes: c_i, s numbers.
        stages: rows a_i of lengths 0, 1, ..., s - 1.
        weights: b_i, s numbers.
        dense: row i holds the coefficients of s, s^2, ... in b_i(s); as many rows as stages and
            extra stages together.
        error: e_i, s numbers; empty for a method without error estimate.
        error_order: order of the embedded solution.
        second_error: weights of a second, cruder estimate that damps the first (Hairer, Norsett,
            Wanner, II.10: e^2 / sqrt(e^2 + 0.01 e2^2)); empty where there is none.
        extra_nodes: nodes of the stages that only the dense output needs.
        extra_stages: rows of those stages, of lengths s, s + 1, ...

    Raises:
        InputError: rows do not sum to their nodes, weights not to one, error weights not to zero,
            or the dense weights at the end of the step differ from the weights.
    """

    name: str
    order: int
    nodes: Row
    stages: tuple[Row, ...]
    weights: Row
    dense: tuple[Row, ...]
    error: Row = ()
    error_order: int = 0
    second_error: Row = ()
    extra_nodes: Row = ()
    extra_stages: tuple[Row, ...] = ()

    def __post_init__(self) -> None:
        nodes, stages = self.nodes + self.extra_nodes, self.stages + self.extra_stages
        lengths = [len(row) for row in stages]
        count = len(self.nodes)
        whole = lengths == list(range(len(nodes))) and len(self.weights) == count
        if not whole or len(self.dense) != len(nodes) or len(self.error) not in (0, count):
            raise InputError(f"tableau {self.name!r}: the rows do not have lengths 0, 1, 2, ...")
        for index, (node, row) in enumerate(zip(nodes, stages, strict=True)):
            self._check(sum(row, F(0)), node, f"row {index + 1} of the stages")
        self._check(sum(self.weights, F(0)), F(1), "the row of weights")
        self._check(sum(self.error, F(0)), F(0), "the row of error weights")
        self._check(sum(self.second_error, F(0)), F(0), "the second row of error weights")
        ends = (*self.weights, *(F(0) for _ in self.extra_nodes))
        for index, (row, end) in enumerate(zip(self.dense, ends, strict=True)):
            self._check(sum(row, F(0)), end, f"row {index + 1} of the dense weights")

    def _check(self, total: Number, wanted: Number, what: str) -> None:
        if abs(float(total - wanted)) > 2e-13:
            raise InputError(
                f"tableau {self.name!r}: {what} sums to {float(total)!r}, not to {float(wanted)!r}"
            )

    @property
    def first_same_as_last(self) -> bool:
        """Whether the last stage is the right-hand side at the end of the step."""
        return self.nodes[-1] == 1 and self.stages[-1] == self.weights[:-1] and not self.weights[-1]


def _rows(*rows: Sequence[Number | int]) -> tuple[Row, ...]:
    """Return rows with their integers as exact fractions."""
    return tuple(tuple(F(x) if isinstance(x, int) else x for x in row) for row in rows)


_EULER = Tableau("euler", 1, nodes=(F(0),), stages=((),), weights=(F(1),), dense=_rows([1]))

_MIDPOINT = Tableau(
    "midpoint",
    2,
    nodes=(F(0), F(1, 2)),
    stages=_rows([], [F(1, 2)]),
    weights=(F(0), F(1)),
    dense=_rows([1, -1], [0, 1]),
)

_HEUN = Tableau(
    "heun",
    2,
    nodes=(F(0), F(1)),
    stages=_rows([], [1]),
    weights=(F(1, 2), F(1, 2)),
    dense=_rows([1, F(-1, 2)], [0, F(1, 2)]),
)

_RK4 = Tableau(
    "rk4",
    4,
    nodes=(F(0), F(1, 2), F(1, 2), F(1)),
    stages=_rows([], [F(1, 2)], [0, F(1, 2)], [0, 0, 1]),
    weights=(F(1, 6), F(1, 3), F(1, 3), F(1, 6)),
    dense=_rows([1, F(-3, 2), F(2, 3)], [0, 1, F(-2, 3)], [0, 1, F(-2, 3)], [0, F(-1, 2), F(2, 3)]),
)

_BOGACKI_SHAMPINE3 = Tableau(
    "bogacki_shampine3",
    3,
    nodes=(F(0), F(1, 2), F(3, 4), F(1)),
    stages=_rows([], [F(1, 2)], [0, F(3, 4)], [F(2, 9), F(1, 3), F(4, 9)]),
    weights=(F(2, 9), F(1, 3), F(4, 9), F(0)),
    dense=_rows([1, F(-4, 3), F(5, 9)], [0, 1, F(-2, 3)], [0, F(4, 3), F(-8, 9)], [0, -1, 1]),
    error=(F(-5, 72), F(1, 12), F(1, 9), F(-1, 8)),
    error_order=2,
)

_DORMAND_PRINCE5 = Tableau(
    "dormand_prince5",
    5,
    nodes=(F(0), F(1, 5), F(3, 10), F(4, 5), F(8, 9), F(1), F(1)),
    stages=_rows(
        [],
        [F(1, 5)],
        [F(3, 40), F(9, 40)],
        [F(44, 45), F(-56, 15), F(32, 9)],
        [F(19372, 6561), F(-25360, 2187), F(64448, 6561), F(-212, 729)],
        [F(9017, 3168), F(-355, 33), F(46732, 5247), F(49, 176), F(-5103, 18656)],
        [F(35, 384), 0, F(500, 1113), F(125, 192), F(-2187, 6784), F(11, 84)],
    ),
    weights=(F(35, 384), F(0), F(500, 1113), F(125, 192), F(-2187, 6784), F(11, 84), F(0)),
    dense=_rows(
        [
            1,
            F(-8048581381, 2820520608),
            F(8663915743, 2820520608),
            F(-12715105075, 11282082432),
        ],
        [0, 0, 0, 0],
        [
            0,
            F(131558114200, 32700410799),
            F(-68118460800, 10900136933),
            F(87487479700, 32700410799),
        ],
        [
            0,
            F(-1754552775, 470086768),
            F(14199869525, 1410260304),
            F(-10690763975, 1880347072),
        ],
        [
            0,
            F(127303824393, 49829197408),
            F(-318862633887, 49829197408),
            F(701980252875, 199316789632),
        ],
        [0, F(-282668133, 205662961), F(2019193451, 616988883), F(-1453857185, 822651844)],
        [0, F(40617522, 29380423), F(-110615467, 29380423), F(69997945, 29380423)],
    ),
    error=(
        F(71, 57600),
        F(0),
        F(-71, 16695),
        F(71, 1920),
        F(-17253, 339200),
        F(22, 525),
        F(-1, 40),
    ),
    error_order=4,
)


def _quartic(scale: float, power: int, *roots: float) -> Row:
    """Return the coefficients of s..s^4 in scale s^power times the product of (s - root)."""
    product = [scale]
    for root in roots:
        product = [
            up - root * low for up, low in zip([0.0, *product], [*product, 0.0], strict=True)
        ]
    return (*([0.0] * (power - 1)), *product)


_TSITOURAS_WEIGHTS = (
    0.09646076681806523,
    0.01,
    0.4798896504144996,
    1.379008574103742,
    -3.290069515436081,
    2.324710524099774,
)

_TSITOURAS5 = Tableau(
    "tsitouras5",
    5,
    nodes=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    stages=(
        (),
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (
            5.86145544294642,
            -12.92096931784711,
            8.159367898576159,
            -0.071584973281401,
            -0.028269050394068383,
        ),
        _TSITOURAS_WEIGHTS,
    ),
    weights=(*_TSITOURAS_WEIGHTS, 0.0),
    dense=(
        (
            1.0,
            -1.0530884977290216 * (-1.3299890189751412 * -1.4364028541716351 + 0.7139816917074209),
            -1.0530884977290216 * (-1.4364028541716351 - 1.3299890189751412),
            -1.0530884977290216,
        ),
        (0.0, 0.1017 * 1.2949852507374631, 0.1017 * -2.1966568338249754, 0.1017),
        (
            0.0,
            2.490627285651252793 * 1.57803468208092486,
            2.490627285651252793 * -2.38535645472061657,
            2.490627285651252793,
        ),
        _quartic(-16.54810288924490272, 2, 1.21712927295533244, 0.61620406037800089),
        _quartic(47.37952196281928122, 2, 1.203071208372362603, 0.658047292653547382),
        _quartic(-34.87065786149660974, 2, 1.2, 2.0 / 3.0),
        _quartic(2.5, 2, 1.0, 0.6),
    ),
    error=(
        -0.00178001105222577714,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        1.0 / 66.0,
    ),
    error_order=4,
)

_DORMAND_PRINCE8 = Tableau(
    "dormand_prince8",
    8,
    nodes=NODES[:13],
    stages=STAGES[:13],
    weights=WEIGHTS,
    dense=DENSE,
    error=ERROR,
    error_order=7,
    second_error=SECOND_ERROR,
    extra_nodes=NODES[13:],
    extra_stages=STAGES[13:],
)

TABLEAUS: Mapping[str, Tableau] = {
    tableau.name: tableau
    for tableau in (
        _EULER,
        _MIDPOINT,
        _HEUN,
        _RK4,
        _BOGACKI_SHAMPINE3,
        _DORMAND_PRINCE5,
        _TSITOURAS5,
        _DORMAND_PRINCE8,
    )
}
"""The explicit methods by name."""
