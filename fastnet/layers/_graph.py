"""From a list of layers to the operations of the core."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from fastnet._core import core
from fastnet.layers import _graph_ensembles, _graph_lengths, _graph_twin
from fastnet.layers._base import Arrays, Layer, Operation, Segment
from fastnet.layers._nodes import Inputs, Node, State
from fastnet.layers.lengths import Count, Trim

#: How the members of an ensemble share parameters; see `fastnet.Network`.
ENSEMBLES = ("packed", "batch", "mini")


class Graph:
    """Operations that read X or each other's outputs.

    Parameters
    ----------
    inputs : Inputs
    n_members : int
        Models side by side.
    ensemble : {"packed", "batch", "mini"}
        What they share.
    whole : Graph, optional
        For a network that goes step by step, the graph of the same layers for whole rows. A row of the core's X then holds one
        position, followed by the states that earlier steps left.

    Attributes
    ----------
    nodes : list of Node
        Operations 1, 2, and so on, each after those it reads.
    widths : list of int
        Numbers of an output row, of X first.
    row_shapes : list of tuple of int
        Shape of these numbers for one member: positions first, channels last.
    starts : list of int
        What the first layer reads (0 for X, or the operation that drops other numbers from it), then what an encoder reads.
    encoded : int, optional
        Inside a decoder, the operation whose output cross attention reads.
    given : list of int
        The operations whose output stays the same in all steps.
    states : list of State
        What a step leaves for the next, in the order in X; for networks that go step by step.
    copies : dict of int to tuple of int
        Where each member has operations of its own: number of the first member's -> numbers of the other members'.
    """

    def __init__(self, inputs: Inputs, n_members: int = 1, ensemble: str = "packed", *, whole: Graph | None = None) -> None:
        self.nodes: list[Node] = []
        self.row_shapes = [inputs.shape]
        self.widths = [inputs.width]
        self.n_members = n_members
        self.ensemble = ensemble
        self.at_output = False
        self._of_members = [n_members == 1]
        self._lengths: list[int | None] = [None]
        self._path: list[str] = []
        self.whole = whole
        self.states: list[State] = []
        self._counter: tuple[int, int] | None = None
        self.encoded: int | None = None
        self.given: list[int] = []
        self.copies: dict[int, tuple[int, ...]] = {}
        self.starts = [self._sequence(inputs, inputs.shape, 0)]
        if inputs.source:
            self.starts.append(self._sequence(inputs, inputs.source, math.prod(inputs.shape) + inputs.ragged))

    def _sequence(self, inputs: Inputs, shape: tuple[int, ...], first: int) -> int:
        """The part of X that begins at `first`: numbers, zero beyond the row's length, and perhaps that length."""
        n = math.prod(shape)
        if inputs.width == n and self.whole is None:
            return 0
        if not inputs.ragged:
            return self._columns(first, n, shape)
        lengths = self._columns(first + n, 1, (1,))
        numbers = 0 if first == 0 else self._columns(first, n, shape)
        return self.add(Trim(n_positions=shape[0], n_numbers=n // shape[0]), numbers, lengths, shape=shape, lengths=lengths)

    @property
    def steps(self) -> int:
        """Most steps of a network that goes step by step; 0 of all others."""
        return 0 if self.whole is None else self.whole.row_shapes[self.whole.starts[0]][0]

    # Methods that have files of their own.
    have_the_same_lengths = _graph_lengths.have_the_same_lengths
    trimmed = _graph_lengths.trimmed
    counted = _graph_lengths.counted
    shortest = cached_property(_graph_lengths.shortest)
    _shortest = _graph_lengths._shortest
    output_lengths = _graph_lengths.output_lengths
    _counts = _graph_lengths._counts
    members_of = _graph_ensembles.members_of
    for_each_member = _graph_ensembles.for_each_member
    own_of_members = _graph_ensembles.own_of_members
    side_by_side = _graph_ensembles.side_by_side
    _add_members = _graph_ensembles._add_members
    _add_own = _graph_ensembles._add_own
    forward = _graph_twin.forward
    backward = _graph_twin.backward

    def _columns(self, first: int, n: int, shape: tuple[int, ...]) -> int:
        """Some numbers of X."""
        from fastnet.layers.joins import Selection

        return self.add(Selection(n_in=self.widths[0], columns=range(first, first + n)), 0, shape=shape)

    def state_before(self, n: int) -> int:
        """The operation that reads a state of n numbers from X, which becomes wider by n; the caller adds to `states`."""
        first = self.widths[0]
        self.widths[0] += n
        return self._columns(first, n, (n,))

    def step_numbers(self) -> tuple[int, int]:
        """Two operations: the first gives the number of steps before this one, the second that number with this one."""
        if self._counter is None:
            before = self.state_before(1)
            after = self.add(Count(reach=1, stride=1, zeros=1, most=self.steps), before, shape=(1,))
            self.states.append(State(after, 0, 1))
            self._counter = before, after
        return self._counter

    def given_state(self) -> int:
        """The operation that reads from X the next of the numbers that stay the same in all steps (`given`)."""
        assert self.whole is not None
        number = self.whole.given[len(self.given)]
        n = self.whole.widths[number]
        before = self.state_before(n)
        self.states.append(State(before, 0, n, given=number))
        self.given.append(before)
        return before

    @property
    def step_count(self) -> int | None:
        """The operation that gives the number of steps, this one included; None if no layer asked for it."""
        return None if self._counter is None else self._counter[1]

    @classmethod
    def of(
        cls,
        layers: Sequence[Layer],
        inputs: Inputs,
        n_members: int = 1,
        ensemble: str = "packed",
        *,
        whole: Graph | None = None,
    ) -> tuple[Graph, list[int]]:
        """The graph of a chain of layers, and the numbers of the operations that make each layer's output.

        If members have operations of their own, the numbers are the first member's.

        Raises
        ------
        ValueError
            Layers that do not fit together, or not an ensemble.
        """
        alone = cls(inputs, whole=whole)
        ends = alone._connect(layers)
        if n_members == 1:
            return alone, ends
        if alone.goes_by_positions:
            graph = cls(inputs, n_members)
            graph._add_members(alone, ensemble)
            return graph, [*ends[:-1], len(graph.nodes)]
        graph = cls(inputs, n_members, ensemble)
        return graph, graph._connect(layers)

    @classmethod
    def of_group(cls, layers: Sequence[Layer], inputs: Inputs, n_members: int) -> Graph:
        """The graph of some members of a packed ensemble of flat rows, with the operations that the whole ensemble has."""
        graph = cls(inputs, n_members)
        graph._of_members = [False]
        graph._connect(layers)
        return graph

    def _connect(self, layers: Sequence[Layer]) -> list[int]:
        ends = [self.starts[0]]
        try:
            for number, layer in enumerate(layers, 1):
                self.at_output = number == len(layers)
                with self.within(str(number)):
                    ends.append(layer.connect(self, ends[-1]))
        except (TypeError, ValueError) as error:
            raise type(error)(f"Layer {'.'.join(self._path)}: {error}") from None
        return ends[1:]

    @property
    def goes_by_positions(self) -> bool:
        """Whether an operation other than those of `Flatten` and `Reshape` reads or makes rows that have positions."""
        return any(
            len(self.row_shapes[place]) > 1
            for number, node in enumerate(self.nodes, 1)
            for place in (number, *node.sources)
            if node.operation.kind != "pass"
        )

    def add(
        self,
        operation: Operation,
        *sources: int,
        of_members: bool | None = None,
        shape: tuple[int, ...] | None = None,
        lengths: int | None = None,
    ) -> int:
        """Append an operation and return its number.

        `of_members` says whether its rows hold numbers of each member; by default they do if its sources' rows do. `shape` is
        that of one member's numbers, by default that of the first source if the count is the same, and flat otherwise. `lengths`
        is the operation that gives the number of positions of each row, 0 if all rows have all positions; by default the first
        source's if the shape has as many positions.
        """
        self.nodes.append(Node(operation, sources, ".".join(self._path)))
        self.widths.append(operation.n_out)
        self._of_members.append(all(self._of_members[source] for source in sources) if of_members is None else of_members)
        number = len(self.nodes)
        width = self.widths[number] // self.members_of(number)
        if shape is None:
            of_source = self.row_shapes[sources[0]]
            shape = of_source if math.prod(of_source) == width else (width,)
        self.row_shapes.append(shape)
        if lengths is None and len(shape) > 1 and shape[0] == self.row_shapes[sources[0]][0]:
            lengths = self._lengths[sources[0]]
        self._lengths.append(lengths or None)
        return number

    def chain(self, layers: Iterable[Layer], source: int) -> int:
        """Append layers one after the other, and return the number of the last operation."""
        at_output, self.at_output = self.at_output, False
        for number, layer in enumerate(layers, 1):
            with self.within(str(number)):
                source = layer.connect(self, source)
        self.at_output = at_output
        return source

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Begin the names of all that is added with `name`. After an error the path stays, to say where the error arose."""
        self._path.append(name)
        yield
        self._path.pop()

    def lengths_of(self, source: int) -> int | None:
        """The operation that gives the number of positions of each row of `source`; None if all rows have all positions."""
        return self._lengths[source]

    @property
    def n_positions(self) -> int:
        """Positions of the output that have a softmax each."""
        softmax = self.nodes[-1].operation.activation.name == "softmax"
        return math.prod(self.row_shapes[-1][:-1]) if softmax else 1

    @cached_property
    def form(self) -> tuple[int, tuple[Any, ...], int, int, tuple[tuple[int, int], ...]]:
        """What the core's plan is made of: n_inputs, layers, n_members, n_positions and lengths."""
        layers = tuple(node.operation.core_form(node.sources) for node in self.nodes)
        lengths = tuple((number or 0, shape[0]) for number, shape in zip(self._lengths[1:], self.row_shapes[1:], strict=True))
        return self.widths[0], layers, self.n_members, self.n_positions, lengths

    def plan(self, share: tuple[int, int] | None = None) -> core.Plan:
        """The core's plan; a ValueError if its numbers are too large for the core.

        `share` is (first member, members of the whole ensemble), for a plan of only some of the members.
        """
        n_inputs, layers, n_members, n_positions, lengths = self.form
        try:
            return core.Plan(n_inputs, layers, n_members=n_members, n_positions=n_positions, lengths=lengths, share=share)
        except OverflowError as error:
            raise ValueError(f"The layers make rows too large for the core: {error}.") from error

    def parameters(self, plan: core.Plan, flat: np.ndarray) -> Mapping[str, np.ndarray]:
        """Views of a flat parameter vector by name: the path of the operation, a point, and the segment's name ("1.W")."""
        places: dict[str, list[int]] = {}
        for (place, *_), (name, _, _) in zip(plan.segment_table(), self.segments(), strict=True):
            places.setdefault(name, []).append(place)
        return MappingProxyType({name: _view(flat, places[name], shape) for name, shape in self.shapes().items()})

    def segments(self) -> Iterator[tuple[str, Segment, Node]]:
        """All segments in the core's order, as (name, segment, node); members' copies have the same name."""
        return ((f"{node.path}.{segment.name}", segment, node) for node in self.nodes for segment in node.operation.segments)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all parameters."""
        return {
            name: segment.shape if node.member is None else (self.n_members, *segment.shape)
            for name, segment, node in self.segments()
        }

    def initialise(self, parameters: Mapping[str, np.ndarray], rng: np.random.Generator) -> None:
        """Draw the initial values of all segments, in their order."""
        for name, segment, node in self.segments():
            node.own(parameters[name])[...] = segment.initial(rng)

    def arrays(self, node: Node, parameters: Mapping[str, np.ndarray]) -> Arrays:
        """The parameters of one operation, by the names of its segments."""
        return {segment.name: node.own(parameters[f"{node.path}.{segment.name}"]) for segment in node.operation.segments}


def _view(flat: np.ndarray, places: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
    """Parameters at one place of a flat vector, or those of members at places that are equally far apart."""
    if len(places) == 1:
        return flat[places[0] : places[0] + math.prod(shape)].reshape(shape)
    apart, n = places[1] - places[0], math.prod(shape[1:])
    first = min(places[0], len(flat) - len(places) * apart)
    members = flat[first : first + len(places) * apart].reshape(len(places), apart)
    return members[:, places[0] - first :][:, :n].reshape(shape)
