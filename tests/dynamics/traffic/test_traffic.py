"""The cell transmission model: conservation, the triangular diagram, and what metering saves."""

import numpy as np
import pytest
import torch

from graphtide.dynamics.traffic import (
    Alinea,
    CellTransmission,
    Demand,
    RoadActuators,
    RoadReadings,
    alinea,
    drive,
    freeway_network,
    learn_roads,
    peak_demand,
    predictive_control,
    read_detectors,
)
from graphtide.errors import InputError
from graphtide.graph import Graph

NONE = np.zeros(0, dtype=np.int64)


def road(cells, capacity=2000.0, last=None, share=None):
    """Return a straight road of cells of 1 km; the last one may have another capacity."""
    index = np.arange(cells - 1)
    limits = np.full(cells, capacity)
    limits[-1] = capacity if last is None else last
    return Graph(
        np.stack([index, index + 1]),
        share,
        node_count=cells,
        directed=True,
        node_attributes={
            "length": np.ones(cells),
            "free_speed": np.full(cells, 100.0),
            "wave_speed": np.full(cells, 25.0),
            "jam_density": np.full(cells, 100.0),
            "capacity": limits,
        },
    )


def steady(flow, nodes):
    return Demand(np.array([0.0, 10.0]), np.tile(flow, (2, 1)) if nodes else flow)


def test_free_flow_is_demand_over_speed_without_delay():
    roads = road(5)
    flow = np.array([1500.0, 0, 0, 0, 0])
    run = drive(CellTransmission(roads, steady(flow, 5)), np.linspace(0.0, 1.0, 11))
    np.testing.assert_allclose(run.states[-1, :, 0], 15.0, rtol=1e-6)
    assert run.delay == pytest.approx(0.0, abs=1e-9)


def test_a_bottleneck_sends_back_the_queue_of_the_diagram():
    roads = road(8, last=1000.0)
    flow = np.zeros(8)
    flow[0] = 1500.0
    field = CellTransmission(roads, steady(flow, 8), capacity_drop=0.0)
    run = drive(field, np.linspace(0.0, 0.8, 9))
    outflow, _ = field.flows(torch.tensor(run.states[-1, :, 0]))
    # The last cell passes 1000 an hour; before it stands rho_max - q / w = 100 - 1000 / 25.
    np.testing.assert_allclose(outflow[-3:], 1000.0, rtol=1e-6)
    np.testing.assert_allclose(run.states[-1, 5:7, 0], 60.0, rtol=1e-3)
    # 500 an hour too many: vehicles in the road are those that came less those that left.
    assert run.left == pytest.approx(1500 * 0.8 - 1000 * (0.8 - 0.08), abs=15.0)


def test_vehicles_are_conserved_and_densities_stay_possible():
    roads = freeway_network()
    demand = peak_demand(roads, seed=3)
    field = CellTransmission(roads, demand)
    times = np.linspace(0.0, 1.0, 21)
    run = drive(field, times)
    jam = field.diagrams.jam_density.numpy()
    assert (run.states[:, :, 0] >= -1e-9).all()
    assert (run.states[:, :, 0] <= jam + 1e-6).all()
    state = torch.tensor(run.states[-1])
    change = (field.length * field(torch.tensor(1.0), state)[:, 0]).sum()
    outflow, _ = field.flows(state[:, 0])
    share = np.asarray(roads.adjacency.sum(axis=0)).ravel()
    leaving = float((outflow.numpy() * (1.0 - share)).sum())
    assert float(change) == pytest.approx(float(demand.at(1.0).sum()) - leaving, rel=1e-9)


def test_who_merge_share_and_who_cannot_turn_blocks_those_behind():
    graph = road(4)
    merge = Graph(
        np.array([[0, 1], [2, 2]]), node_count=4, directed=True,
        node_attributes=dict(graph.node_attributes),
    )  # fmt: skip
    field = CellTransmission(merge, steady(np.zeros(4), 4), capacity_drop=0.0)
    outflow, inflow = field.flows(torch.tensor([20.0, 10.0, 0.0, 0.0], dtype=torch.float64))
    assert inflow[2] == pytest.approx(2000.0)
    assert outflow[:2].tolist() == pytest.approx([4000 / 3, 2000 / 3])
    part = Graph(
        np.array([[0, 0], [1, 2]]), np.array([0.8, 0.2]), node_count=4, directed=True,
        node_attributes=dict(graph.node_attributes),
    )  # fmt: skip
    field = CellTransmission(part, steady(np.zeros(4), 4), capacity_drop=0.0)
    # Branch 2 is full but for 10 vehicles/km: it takes 250 of the 400 an hour that turn to it.
    outflow, inflow = field.flows(torch.tensor([20.0, 0.0, 90.0, 0.0], dtype=torch.float64))
    assert outflow[0] == pytest.approx(2000.0 * 250 / 400)
    assert inflow[1] == pytest.approx(0.8 * 1250.0)


def test_meters_and_speed_limits_act():
    roads = road(3)
    actuators = RoadActuators(np.array([0]), np.array([1]))
    field = CellTransmission(roads, steady(np.zeros(3), 3), actuators, capacity_drop=0.0)
    density = torch.tensor([20.0, 10.0, 0.0], dtype=torch.float64)
    outflow, _ = field.flows(density, torch.tensor([0.25, 0.5], dtype=torch.float64))
    assert outflow[:2].tolist() == pytest.approx([500.0, 500.0])


def test_a_congested_cell_discharges_less():
    field = CellTransmission(road(2), steady(np.zeros(2), 2), capacity_drop=0.2)
    outflow, _ = field.flows(torch.tensor([60.0, 0.0], dtype=torch.float64))
    assert outflow[0] == pytest.approx(2000.0 * (1.0 - 0.2 * 40.0 / 80.0))


@pytest.mark.slow
def test_metering_by_prediction_saves_more_than_alinea_and_alinea_than_nothing():
    roads = freeway_network()
    assert roads.node_count == 100
    ramps = np.flatnonzero(roads.node_attributes["kind"] == 1)
    demand = peak_demand(roads, seed=1, duration=1.0, ramp=1300.0, origin=5000.0)
    field = CellTransmission(roads, demand, RoadActuators(ramps, NONE))
    minutes = np.linspace(0.0, 1.0, 61)
    none, local = drive(field, minutes), drive(field, minutes, alinea(field))
    planned = drive(
        field,
        np.linspace(0.0, 1.0, 9),
        predictive_control(field, interval=1 / 8, ahead=2, iterations=4),
    )
    assert local.delay < 0.95 * none.delay
    assert planned.delay < 0.85 * none.delay
    assert planned.delay < local.delay
    assert (planned.inputs >= 0.12 - 1e-9).all()
    assert (planned.inputs <= 1.0).all()


def test_alinea_holds_back_where_it_is_dense():
    roads = freeway_network(10, motorways=1, spacing=5)
    ramps = np.flatnonzero(roads.node_attributes["kind"] == 1)
    demand = peak_demand(roads)
    field = CellTransmission(roads, demand, RoadActuators(ramps, NONE))
    act = alinea(field, Alinea(gain=40.0))
    state = np.zeros((roads.node_count, 2))
    assert act(0.0, state).tolist() == [1.0, 1.0]
    state[:, 0] = 80.0  # critical density is 60: K 20 of the capacity 1800
    assert act(0.0, state) == pytest.approx(1.0 - 40.0 * 20.0 / 1800.0)


def test_wrong_roads_are_refused():
    roads = road(3)
    with pytest.raises(InputError, match="turning shares"):
        CellTransmission(road(3, share=np.array([1.2, 1.0])), steady(np.zeros(3), 3))
    bare = Graph(roads.edge_index, node_count=3, directed=True)
    with pytest.raises(InputError, match="no node attribute 'length'"):
        CellTransmission(bare, steady(np.zeros(3), 3))
    with pytest.raises(InputError, match="the demand names 2 nodes"):
        CellTransmission(roads, steady(np.zeros(2), 2))
    with pytest.raises(InputError, match="directed"):
        CellTransmission(Graph.from_source("path:3"), steady(np.zeros(3), 3))


def test_flows_of_many_times_are_those_of_each():
    roads = freeway_network(10, motorways=2, spacing=5)
    actuators = RoadActuators(np.flatnonzero(roads.node_attributes["kind"] == 1), np.array([3, 4]))
    field = CellTransmission(roads, peak_demand(roads), actuators)
    random = np.random.default_rng(0)
    density = torch.tensor(random.uniform(0.0, 120.0, (6, roads.node_count)))
    inputs = torch.tensor(random.uniform(0.2, 1.0, (6, actuators.count)))
    together = field.flows(density, inputs)
    for k in range(6):
        for whole, one in zip(together, field.flows(density[k], inputs[k]), strict=True):
            torch.testing.assert_close(whole[k], one, rtol=0, atol=0)


def nominal(roads, seed):
    """Return a network whose numbers are wrong: each kind by a factor, each cell by 3 % besides."""
    random = np.random.default_rng(seed)
    wrong = {}
    for name in LEARNED:
        own = 0.03 * random.standard_normal(roads.node_count)
        wrong[name] = roads.node_attributes[name] * np.exp(random.uniform(-0.3, 0.3) + own)
    return roads.with_node_attributes(**wrong)


LEARNED = ("free_speed", "wave_speed", "jam_density", "capacity")


def test_roads_are_learned_from_densities_and_speeds():
    roads = freeway_network()
    ramps = np.flatnonzero(roads.node_attributes["kind"] == 1)
    actuators = RoadActuators(ramps, NONE)
    demand = peak_demand(roads, seed=1)
    field = CellTransmission(roads, demand, actuators)
    run = drive(field, np.linspace(0.0, 2.0, 121))
    readings = read_detectors(field, run, noise=0.03, seed=1)
    guess = nominal(roads, 0)
    learned = learn_roads(guess, readings, actuators, capacity_drop=0.0)
    cells = np.asarray(roads.node_attributes["kind"]) == 0
    off = {}
    for name in LEARNED:
        true, before, after = (
            np.asarray(one.node_attributes[name], float)[cells]
            for one in (roads, guess, learned.roads)
        )
        off[name] = [np.median(np.abs(found / true - 1.0)) for found in (before, after)]
    assert off["free_speed"][1] < 0.01
    assert off["capacity"][1] < 0.06
    assert off["wave_speed"][1] < 0.06
    assert off["jam_density"][1] < 0.06
    before, after = np.mean(list(off.values()), axis=0)
    assert after < 0.4 * before
    assert 0.05 < learned.capacity_drop < 0.25  # 0.15; few cells discharge a queue
    assert learned.flow_error < 0.3 * learned.nominal_flow_error
    # What the learned law says of another day: nearer to it than the nominal law.
    other = peak_demand(roads, seed=2)
    times = np.linspace(0.0, 2.0, 21)
    truth, own, wrong = (
        drive(law, times).delay
        for law in (
            CellTransmission(roads, other),
            learned.field(other),
            CellTransmission(guess, other, capacity_drop=0.0),
        )
    )
    assert abs(own - truth) < 0.5 * abs(wrong - truth)


def test_readings_that_do_not_fit_are_refused():
    roads = road(3)
    some = np.ones((4, 3))
    with pytest.raises(InputError, match="density of cell 1 at reading 2"):
        RoadReadings(np.where(np.arange(12).reshape(4, 3) == 7, -1.0, 1.0), some)
    with pytest.raises(InputError, match="a row each time"):
        RoadReadings(some, some[:2])
    with pytest.raises(InputError, match="no speed was read"):
        RoadReadings(some, np.full((4, 3), np.nan))
    with pytest.raises(InputError, match="rows of inputs"):
        RoadReadings(some, some, np.ones((3, 1)))
    with pytest.raises(InputError, match="3 nodes"):
        learn_roads(roads, RoadReadings(np.ones((4, 2)), np.ones((4, 2))))
