"""From a list of layers to the operations of the core."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from fastnet._core import core
from fastnet.activations import Identity
from fastnet.layers._base import Arrays, Layer, Operation, Segment
from fastnet.layers._nodes import Inputs, Node, State
from fastnet.layers.lengths import Count, Trim

#: How the members of an ensemble share parameters; see `fastnet.Network`.
ENSEMBLES = ("packed", "batch", "mini")

#: Most numbers of a row's copies for members: a list of their columns is made before any parameter.
MAX_COPIES = 2**22

#: Most operations of members that have some each: they take Python's memory and time before any parameter does.
MAX_OPERATIONS = 2**12


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

    def _add_members(self, alone: Graph, ensemble: str) -> None:
        """Append the operations of a single network once for each member, and one that puts the members' outputs side by side.

        Members share operations without parameters that read nothing of a member's own.
        """
        if ensemble != "packed":
            raise ValueError(
                f"The members of a {ensemble!r} ensemble share dense layers over flat rows, and this network's rows have "
                "positions: take ensemble='packed'."
            )
        if alone.n_positions > 1:
            raise ValueError(
                f"The members of an ensemble have one softmax each, and this network has {alone.n_positions} a row: put "
                "fastnet.GlobalPool() or fastnet.Last() before the last layer, or train networks one by one."
            )
        if self.n_members * len(alone.nodes) > MAX_OPERATIONS:
            raise ValueError(
                f"{self.n_members} members with {len(alone.nodes)} operations each are too many: together they can have at "
                f"most {MAX_OPERATIONS}."
            )
        from fastnet.layers.joins import Side

        shared, last, lengths = len(self.nodes) + 1, alone.nodes[-1].operation, alone.lengths_of(len(alone.nodes))
        numbers = [list(range(shared)) for _ in range(self.n_members)]
        for member, own in enumerate(numbers):
            for number in range(shared, len(alone.nodes) + 1):
                own.append(self._add_own(alone, number, member, own, numbers[0]))
        self.copies = {of_all[0]: of_all[1:] for of_all in zip(*numbers, strict=True) if of_all[0] != of_all[-1]}
        ends = [own[-1] for own in numbers]
        side = Side(widths=(last.n_out,) * self.n_members, activation=last.activation)
        with self.within(alone.nodes[-1].path):
            shape = alone.row_shapes[-1]
            self.add(side, *ends, of_members=True, shape=shape, lengths=0 if lengths is None else numbers[0][lengths])

    def _add_own(self, alone: Graph, number: int, member: int, own: list[int], first: list[int]) -> int:
        """Add a member's copy of operation `number` of a single network, and return its number.

        `own` and `first` have the numbers of the earlier operations, of this member and of the first one.
        """
        node, lengths = alone.nodes[number - 1], alone.lengths_of(number)
        operation, sources = node.operation, [own[source] for source in node.sources]
        shareable = not operation.segments and operation.dropout == 0
        if member > 0 and shareable and sources == [first[source] for source in node.sources]:
            return first[number]
        if number == len(alone.nodes):
            operation = replace(operation, activation=Identity())
        shape = alone.row_shapes[number]
        added = self.add(operation, *sources, shape=shape, lengths=0 if lengths is None else own[lengths])
        self.nodes[-1] = replace(self.nodes[-1], path=node.path, member=member)
        return added

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

    def members_of(self, source: int) -> int:
        """Members whose numbers stand side by side in a row of `source`."""
        return self.n_members if self._of_members[source] else 1

    def lengths_of(self, source: int) -> int | None:
        """The operation that gives the number of positions of each row of `source`; None if all rows have all positions."""
        return self._lengths[source]

    def have_the_same_lengths(self, sources: Sequence[int]) -> bool:
        """Whether each row has as many positions in all of these sources."""
        first, *others = {self._lengths[source] for source in sources}
        if not others:
            return True
        if None in (first, *others):
            return False
        for start in self.starts:
            counts = self._counts(start, np.arange(1, self.row_shapes[start][0] + 1))
            if first in counts:
                there = np.logical_and.reduce([count >= 1 for count in counts.values()])
                return all(other in counts and np.array_equal(counts[first][there], counts[other][there]) for other in others)
        return False

    def trimmed(self, source: int) -> int:
        """An operation whose rows are zero beyond their lengths; the source itself where all rows have all positions."""
        lengths, shape = self._lengths[source], self.row_shapes[source]
        if lengths is None or isinstance(self.nodes[source - 1].operation, Trim):
            return source
        return self.add(Trim(n_positions=shape[0], n_numbers=math.prod(shape[1:])), source, lengths)

    def counted(self, source: int, reach: int, stride: int, zeros: int, most: int) -> int | None:
        """The operation that gives how many windows fit into each row of the source (see `Count`).

        It is that of the source's own lengths where windows do not change them, and None if all rows have all positions.
        """
        lengths = self._lengths[source]
        if lengths is None or (stride == 1 and zeros == reach - 1):
            return lengths
        return self.add(Count(reach=reach, stride=stride, zeros=zeros, most=most), lengths, shape=(1,))

    @cached_property
    def shortest(self) -> list[int]:
        """Fewest positions with which a row still has one position in all layers, for each of `starts`."""
        return [self._shortest(start) for start in self.starts]

    def _shortest(self, start: int) -> int:
        counts = self._counts(start, np.arange(1, self.row_shapes[start][0] + 1))
        enough = np.logical_and.reduce([count >= 1 for count in counts.values()])
        return int(enough.argmax()) + 1

    def output_lengths(self, lengths: np.ndarray) -> np.ndarray | None:
        """Positions of the outputs (m,) of ragged rows that have `lengths` (m,); None if all rows have all positions."""
        source = self._lengths[-1]
        return None if source is None else self._counts(self.starts[0], lengths)[source]

    def _counts(self, start: int, lengths: np.ndarray) -> dict[int, np.ndarray]:
        """Outputs of all operations that give lengths, by number, for rows that have `lengths` positions at a start."""
        of_rows = self._lengths[start]
        assert of_rows is not None
        made = {of_rows: lengths}
        for number, node in enumerate(self.nodes, 1):
            if isinstance(node.operation, Count) and node.sources[0] in made:
                made[number] = node.operation.forward({}, made[node.sources[0]])
        return made

    def for_each_member(self, source: int) -> int:
        """An operation whose rows hold a copy of the source's for each member; the source itself if they do already."""
        if self._of_members[source]:
            return source
        from fastnet.layers.joins import Selection

        if self.widths[source] * self.n_members > MAX_COPIES:
            raise ValueError(
                f"{self.n_members} members with parameters of their own read {self.widths[source]} numbers a row each: together "
                f"they can read at most {MAX_COPIES}."
            )
        everything = tuple(range(self.widths[source])) * self.n_members
        return self.add(Selection(n_in=self.widths[source], columns=everything), source, of_members=True)

    def own_of_members(self, source: int) -> int:
        """`for_each_member` in packed ensembles, whose members share nothing, so that each gets parameters of its own next."""
        return self.for_each_member(source) if self.ensemble == "packed" else source

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

    def side_by_side(self, A: Sequence[Any], number: int) -> np.ndarray:
        """Rows of an operation, those of all members side by side, from the rows of X and all operations."""
        numbers = (number, *self.copies.get(number, ()))
        return A[number] if len(numbers) == 1 else np.concatenate([A[n] for n in numbers], axis=1)

    def forward(
        self, parameters: Mapping[str, np.ndarray], X: np.ndarray, *, training: bool = False
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """[Z[1], ..., Z[L]] and [A[0], ..., A[L]] of all operations, in plain NumPy; the last activation goes by members.

        With `training`, X is a batch, whose rows may depend on each other.
        """
        Z, A = [], [X]
        for node in self.nodes:
            forward = node.operation.forward_of_batch if training else node.operation.forward
            Z.append(forward(self.arrays(node, parameters), *(A[source] for source in node.sources)))
            groups = self.n_members * self.n_positions if node is self.nodes[-1] else 1
            A.append(node.operation.activation(Z[-1].reshape(len(X), groups, -1)).reshape(Z[-1].shape))
        return Z, A

    def backward(
        self, parameters: Mapping[str, np.ndarray], Z: list[np.ndarray], A: list[np.ndarray], dZ: np.ndarray
    ) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """Gradients of all segments by name, and dA of X and all operations, from dZ[L], in plain NumPy."""
        gradients = {name: np.zeros_like(array) for name, array in parameters.items()}
        dA = [np.zeros_like(a) for a in A]
        for number in range(len(self.nodes), 0, -1):
            node = self.nodes[number - 1]
            if number < len(self.nodes):
                dZ = dA[number] * node.operation.activation.derivative(Z[number - 1])
            dA_of, own = node.operation.backward(self.arrays(node, parameters), tuple(A[s] for s in node.sources), dZ)
            for name, gradient in own.items():
                node.own(gradients[f"{node.path}.{name}"])[...] = gradient
            for source, d in zip(node.sources, dA_of, strict=True):
                dA[source] += d
        return gradients, dA


def _view(flat: np.ndarray, places: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
    """Parameters at one place of a flat vector, or those of members at places that are equally far apart."""
    if len(places) == 1:
        return flat[places[0] : places[0] + math.prod(shape)].reshape(shape)
    apart, n = places[1] - places[0], math.prod(shape[1:])
    first = min(places[0], len(flat) - len(places) * apart)
    members = flat[first : first + len(places) * apart].reshape(len(places), apart)
    return members[:, places[0] - first :][:, :n].reshape(shape)
