# The plan of a network: its layers and their segments, and all that is known before any data is.

cdef class Plan:
    """Layers that read the inputs or earlier layers' outputs, and the places of their segments in the flat parameter vector.

    Penalised segments come first, then the others, each in the order of the layers: [W1 .. WL | b1 .. bL] for dense layers.

    Parameters
    ----------
    n_inputs : int
        Numbers a row of X.
    layers : sequence of (kind, sources, dims, constants, option, activation, alpha, dropout)
        Layers 1 to L, the output layer last. `kind` is a code out of LAYER_CODES, whose file in layers/ says what `dims`,
        `constants` (ints) and `option` (a float, or a tuple of option and rate) mean; `sources` are numbers of earlier layers, 0
        for the inputs; `activation` is a code out of ACTIVATION_CODES and `alpha` its parameter; `dropout` is the probability of
        dropping a number of the layer's output while training.
    n_members : int
        Models that the output layer holds side by side: its numbers a row are (n_members, n_outputs).
    n_positions : int
        Positions of the output that each have a softmax and a target of their own: n_outputs is n_positions times the classes. Of
        one model only.
    lengths : sequence of (layer, positions)
        Of each layer, which one makes the number of positions of its output that a row has (0: it has all), and how many there
        are. By default rows have all.
    share : (first, n_together)
        The members are those from number `first` on of an ensemble of n_together, which have nothing in common: the segments lie
        where they are in its vector.
    """

    cdef Layer* layers
    cdef Source* sources
    cdef Layer* of_positions                # what layers do at each position; see Layer.each
    cdef Source* sources_of_positions
    cdef int* constants
    cdef Segment* segments
    cdef Py_ssize_t* cuts                   # numbers of the layers that need a summary of the batch
    cdef readonly Py_ssize_t n_cuts
    cdef readonly Py_ssize_t n_inputs
    cdef readonly Py_ssize_t n_layers
    cdef readonly Py_ssize_t n_segments
    cdef readonly Py_ssize_t n_params
    cdef readonly Py_ssize_t n_penalised    # parameters; they are the first in the vector
    cdef readonly Py_ssize_t n_frozen
    cdef readonly Py_ssize_t n_members
    cdef readonly Py_ssize_t n_together     # members whose mean loss is minimised; these are some or all of them
    cdef readonly Py_ssize_t n_positions
    cdef readonly Py_ssize_t n_outputs      # of one member
    cdef readonly Py_ssize_t widest         # layer; inputs are read where they lie
    cdef readonly Py_ssize_t n_folded       # parameters of layers that a BatchNorm is folded into
    cdef readonly Py_ssize_t n_slots        # for outputs of layers, while later ones need them
    cdef readonly Py_ssize_t slopes         # numbers a row of the slots for dZ of layers, while earlier ones need them
    cdef readonly double cost               # multiply-adds a row
    cdef readonly double costliest          # of one layer
    cdef readonly bint uses_blas
    cdef readonly bint takes_sparse
    cdef readonly bint needs_panel          # for one row, too
    cdef readonly Py_ssize_t room           # numbers that the layers need room for, in each worker
    cdef readonly tuple sizes               # numbers a row: of the inputs, and of each layer's output
    cdef readonly tuple kind                # what decides how fast it is
    cdef TeamSize row_team                  # that takes one row through it

    def __cinit__(self, n_inputs, layers, *, n_members=1, n_positions=1, lengths=None, share=None):
        cdef Py_ssize_t i
        layers = tuple(layers)
        if len(layers) < 1 or not 1 <= n_inputs <= 2147483647:
            raise ValueError(f"a plan needs at least one layer and 1 to 2^31 - 1 inputs, got {len(layers)} and {n_inputs}")
        self.n_layers = len(layers)
        self.layers = <Layer*> calloc(self.n_layers, sizeof(Layer))
        self.segments = <Segment*> calloc(self.n_layers * MOST_SEGMENTS, sizeof(Segment))
        n_sources = sum(len(layer[1]) for layer in layers)
        self.sources = <Source*> calloc(n_sources + 1, sizeof(Source))
        self.of_positions = <Layer*> calloc(self.n_layers, sizeof(Layer))
        self.sources_of_positions = <Source*> calloc(n_sources + 1, sizeof(Source))
        self.constants = <int*> calloc(sum(len(layer[3]) for layer in layers) + 1, sizeof(int))
        self.cuts = <Py_ssize_t*> calloc(self.n_layers, sizeof(Py_ssize_t))
        if self.layers == NULL or self.segments == NULL or self.sources == NULL or self.constants == NULL or self.cuts == NULL \
                or self.of_positions == NULL or self.sources_of_positions == NULL:
            raise MemoryError(f"no memory for the plan of {self.n_layers} layers")
        self.n_inputs = n_inputs
        self.sizes = (self.n_inputs,)
        self.takes_sparse = True
        self.kind = (hash(layers), self.n_inputs, int(n_members), int(n_positions))
        self._connect(layers, lengths or [(0, 1)] * self.n_layers)
        for i in range(self.n_layers):
            self._add(i, layers[i])
        self._refuse_unread()
        self._finish_output(int(n_members), int(n_positions))
        self.n_together = self.n_members
        if share is None:
            self._place_segments(1, 0, 1)
        else:
            self._take_share(share[0], share[1])
        self._fold_norms()
        self._choose_slots()
        self._split_positions()
        self._move_rectifiers()
        self.widest = max(self.sizes[1:])

    def __dealloc__(self):
        free(self.layers)
        free(self.sources)
        free(self.of_positions)
        free(self.sources_of_positions)
        free(self.constants)
        free(self.cuts)
        free(self.segments)

    cdef int _connect(self, tuple layers, lengths) except -1:
        """Sources, constants and lengths of all layers."""
        cdef Py_ssize_t i, n, n_sources = 0, n_constants = 0
        cdef Layer* layer
        for i in range(self.n_layers):
            kind, sources, dims, constants = layers[i][:4]
            layer = self.layers + i
            if kind not in LAYER_CODES.values():
                raise ValueError(f"layer {i + 1} has the unknown kind {kind}")
            if len(sources) < 1 or not all(0 <= source <= i for source in sources) or len(dims) > MOST_DIMS:
                raise ValueError(f"layer {i + 1} must read earlier layers or the inputs, got sources {tuple(sources)}, dims {tuple(dims)}")
            layer.kind, layer.number = kind, i + 1
            layer.lengths, layer.positions = lengths[i]
            if not 0 <= layer.lengths <= i or layer.positions < 1:
                raise ValueError(f"layer {i + 1} has lengths that layer {layer.lengths} makes, of {layer.positions} positions")
            layer.n_sources, layer.n_constants = len(sources), len(constants)
            layer.sources, layer.constants = self.sources + n_sources, self.constants + n_constants
            for n in range(layer.n_sources):
                layer.sources[n].layer = sources[n]
            for n in range(layer.n_constants):
                self.constants[n_constants + n] = constants[n]
            for n in range(<Py_ssize_t> len(dims)):
                layer.dims[n] = dims[n]
            n_sources += layer.n_sources
            n_constants += layer.n_constants
        begun = set()                       # on the way back, from the last layer to the first
        for i in range(self.n_layers - 1, -1, -1):
            layer = self.layers + i
            for n in range(layer.n_sources):
                layer.sources[n].accumulates = layer.sources[n].layer in begun
                begun.add(layer.sources[n].layer)
        return 0

    cdef int _add(self, Py_ssize_t i, tuple spec) except -1:
        """Layer i + 1, whose sources are known, as its kind describes it."""
        cdef Layer* layer = self.layers + i
        cdef Py_ssize_t n
        option, activation, alpha, dropout = spec[4:]
        layer.option, layer.rate = option if isinstance(option, tuple) else (option, 0)
        layer.activation = layer.trained_activation = activation
        layer.alpha, layer.dropout = alpha, dropout
        for n in range(layer.n_sources):
            layer.sources[n].width = self.sizes[layer.sources[n].layer]
            layer.n_in += layer.sources[n].width
        if not 1 <= layer.n_in <= 2147483647:
            raise ValueError(f"layer {i + 1} reads {layer.n_in} numbers a row: it must be 1 to 2^31 - 1")
        if not 0 <= activation < N_ACTIVATIONS or (activation == SOFTMAX and i < self.n_layers - 1):
            raise ValueError(f"layer {i + 1} cannot have activation number {activation}")
        if not 0 <= dropout < 1 or (dropout > 0 and i == self.n_layers - 1):
            raise ValueError(f"dropout of layer {i + 1} must lie in [0, 1), and be 0 for the output layer: got {dropout}")
        layer.first_segment = self.n_segments
        plan_layer(self, layer)
        for n in range(layer.n_sources):
            if layer.sources[n].layer == 0 and not layer.takes_sparse:
                self.takes_sparse = False
        if not 1 <= layer.n_out <= 2147483647:
            raise ValueError(f"layer {i + 1} makes {layer.n_out} numbers a row: they must be 1 to 2^31 - 1")
        if layer.lengths > 0 and (self.sizes[layer.lengths] != 1 or layer.n_out % layer.positions):
            raise ValueError(f"layer {i + 1} makes {layer.n_out} numbers a row, which cannot be {layer.positions} positions with lengths")
        layer.keeps = derivative_needs_z(layer.activation) or (layer.dropout > 0 and not layer.keeps_slopes)
        layer.learns = self._learns(layer)
        if layer.summary > 0:
            self.cuts[self.n_cuts] = layer.number
            self.n_cuts += 1
        self.cost += layer.cost
        if not layer.sliced:
            self.costliest = max(self.costliest, layer.cost)
        self.uses_blas = self.uses_blas or layer.by_blas
        self.sizes += (int(layer.n_out),)
        return 0

    cdef bint _learns(self, const Layer* layer) noexcept:
        cdef Py_ssize_t n
        for n in range(layer.first_segment, self.n_segments):
            if not self.segments[n].frozen:
                return True
        for n in range(layer.n_sources):
            if layer.sources[n].layer > 0 and self.layers[layer.sources[n].layer - 1].learns:
                return True
        return False

    cdef int _refuse_unread(self) except -1:
        """A layer that learns but that no other reads: nobody would make its gradient."""
        cdef Py_ssize_t i, n
        read = {self.layers[i].sources[n].layer for i in range(self.n_layers) for n in range(self.layers[i].n_sources)}
        for i in range(self.n_layers - 1):
            if self.layers[i].learns and i + 1 not in read:
                raise ValueError(f"no layer reads the output of layer {i + 1}")
        return 0

    cdef int _finish_output(self, Py_ssize_t n_members, Py_ssize_t n_positions) except -1:
        cdef Py_ssize_t n_out = self.layers[self.n_layers - 1].n_out
        if n_members < 1 or n_out % n_members:
            raise ValueError(f"{n_out} numbers of the output layer cannot be those of {n_members} members")
        if n_positions < 1 or n_out % n_positions or (n_positions > 1 and n_members > 1):
            raise ValueError(f"{n_out} numbers of the output layer cannot be those of {n_positions} positions of {n_members} members")
        self.n_members = n_members
        self.n_positions = n_positions
        self.needs_panel = self.needs_panel or n_positions > 1
        self.n_outputs = n_out // n_members
        return 0

    cdef int _take_share(self, Py_ssize_t first, Py_ssize_t n_together) except -1:
        cdef Py_ssize_t i
        if first < 0 or first + self.n_members > n_together:
            raise ValueError(f"{self.n_members} members from number {first} on are none of {n_together}")
        for i in range(self.n_segments):
            if self.segments[i].rows * self.segments[i].columns % self.n_members:
                raise ValueError(f"members share parameters of layer {self.segments[i].layer}")
        for i in range(self.n_layers):
            self.layers[i].first_unit = first * (self.layers[i].n_out // self.n_members)
        self.n_together = n_together
        self._place_segments(self.n_members, first, n_together)
        return 0

    cdef int _place_segments(self, Py_ssize_t n_parts, Py_ssize_t first, Py_ssize_t n_together) except -1:
        """Places in the vector, where each segment of n_parts parts begins at part `first` of n_together."""
        cdef Py_ssize_t i, place = 0, part
        cdef Segment* segment
        cdef int penalised
        total = sum(int(self.segments[i].rows) * int(self.segments[i].columns) for i in range(self.n_segments)) // n_parts * n_together
        if total > PY_SSIZE_T_MAX // 16:
            raise ValueError(f"sizes {self.sizes} make {total} parameters, more than can be addressed: take smaller layers")
        for penalised in (True, False):
            for i in range(self.n_segments):
                segment = self.segments + i
                if segment.penalised == penalised:
                    part = segment.rows * segment.columns // n_parts
                    segment.place = place + first * part
                    self.layers[segment.layer - 1].places[segment.part] = segment.place
                    place += n_together * part
                    self.n_frozen += n_together * part if segment.frozen else 0
            if penalised:
                self.n_penalised = place
        self.n_params = place
        return 0

    cdef int _choose_slots(self) except -1:
        """Slots for each layer's output and, on the way back, for each dZ: two in turn for a chain."""
        cdef Py_ssize_t i, n
        last_reader = {}
        for i in range(self.n_layers):
            for n in range(self.layers[i].n_sources):
                last_reader[self.layers[i].sources[n].layer] = i
            last_reader[self.layers[i].lengths] = i
        writers = [i for i in range(self.n_layers) if not self.layers[i].is_folded]
        slots = _slots((i, last_reader.get(self.layers[i].normed_by or i + 1, i)) for i in writers)
        self.n_slots = max(slots) + 1
        for i, slot in zip(writers, slots):
            self.layers[i].slot = slot
            if self.layers[i].normed_by > 0:
                self.layers[self.layers[i].normed_by - 1].slot = slot
        learning = [i for i in range(self.n_layers) if self.layers[i].learns]
        learning.sort(key=lambda i: -last_reader.get(i + 1, i))
        slots = _slots((-last_reader.get(i + 1, i), -i) for i in learning)
        widths = [0] * (max(slots, default=-1) + 1)
        for i, slot in zip(learning, slots):
            widths[slot] = max(widths[slot], (self.layers[i].n_out + 15) // 16 * 16)        # whole cache lines
        for i, slot in zip(learning, slots):
            self.layers[i].slopes = sum(widths[:slot])
        self.slopes = sum(widths)
        return 0

    cdef list _numbers_of_readers(self):
        """How often each output is read: that of layer 0, the inputs, and of all others."""
        cdef Py_ssize_t i, n
        n_readers = [0] * (self.n_layers + 1)
        for i in range(self.n_layers):
            for n in range(self.layers[i].n_sources):
                n_readers[self.layers[i].sources[n].layer] += 1
        return n_readers

    cdef int _fold_norms(self) except -1:
        """Which BatchNorm predictions fold into the layer before."""
        cdef Py_ssize_t i, part
        cdef Layer* norm
        cdef Layer* before
        n_readers = self._numbers_of_readers()
        for i in range(self.n_layers):
            norm = self.layers + i
            if norm.kind != BATCH_NORM or norm.sources[0].layer == 0 or n_readers[norm.sources[0].layer] > 1:
                continue
            before = self.layers + norm.sources[0].layer - 1
            if norm.n_sources == 1 and can_be_folded(self, norm, before):
                before.normed_by, norm.is_folded = norm.number, True
                for part in range(2):
                    before.folded_places[part] = self.n_folded
                    self.n_folded += self.segments[before.first_segment + part].rows * self.segments[before.first_segment + part].columns
        return 0

    cdef int _split_positions(self) except -1:
        """What layers that treat all positions of a row alike do at each."""
        cdef Py_ssize_t i, n, n_sources = 0
        cdef Layer* layer
        cdef Layer* each
        for i in range(self.n_layers):
            layer, each = self.layers + i, self.of_positions + i
            each[0] = layer[0]
            each.sources = self.sources_of_positions + n_sources
            n_sources += layer.n_sources
            for n in range(layer.n_sources):
                each.sources[n] = layer.sources[n]
                each.sources[n].width //= layer.positions
            if layer.lengths == 0 or layer.positions == 1 or not goes_by_positions(layer, each):
                continue
            each.n_in, each.n_out, each.kept = (size // layer.positions for size in (layer.n_in, layer.n_out, layer.kept))
            layer.each = each
        for i in range(self.n_layers):
            layer = self.layers + i
            layer.clears = layer.clears or layer.number == self.n_layers
            for n in range(layer.n_sources):
                if layer.sources[n].layer > 0 and not minds_lengths(layer, self.layers[layer.sources[n].layer - 1].lengths):
                    self.layers[layer.sources[n].layer - 1].clears = True
        return 0

    cdef int _move_rectifiers(self) except -1:
        """In training, let the ReLU before a maximum pool be that of the maxima, which are fewer: these and their slopes are the same."""
        cdef Py_ssize_t i
        cdef Layer* pool
        cdef Layer* before
        n_readers = self._numbers_of_readers()
        for i in range(self.n_layers - 1):
            pool = self.layers + i
            if not is_maximum_alone(pool) or n_readers[pool.sources[0].layer] > 1 or pool.sources[0].layer == 0:
                continue
            before = self.layers + pool.sources[0].layer - 1
            if before.activation == RELU and not before.keeps and before.lengths == 0:
                before.trained_activation, pool.trained_activation = IDENTITY, RELU
        return 0

    cdef int add_segment(self, Layer* layer, Py_ssize_t rows, Py_ssize_t columns, int traits) except -1:
        """Give the layer its next segment."""
        cdef Segment* segment = self.segments + self.n_segments
        if layer.n_segments == MOST_SEGMENTS:
            raise ValueError(f"layer {layer.number} has more than {MOST_SEGMENTS} segments")
        segment.rows, segment.columns, segment.layer, segment.part = rows, columns, layer.number, layer.n_segments
        segment.penalised, segment.frozen, segment.whole = traits & PENALISED, traits & FROZEN, traits & WHOLE_TILE
        layer.n_segments += 1
        self.n_segments += 1
        return 0

    cdef int refuse(self, const Layer* layer, why) except -1:
        raise ValueError(f"layer {layer.number}, which reads {layer.n_in} numbers a row: {why}")

    def segment_table(self):
        """(place, rows, columns, layer, part, penalised, frozen) of every segment, in the order of the layers."""
        cdef Py_ssize_t i
        cdef Segment* segment
        table = []
        for i in range(self.n_segments):
            segment = self.segments + i
            table.append((segment.place, segment.rows, segment.columns, segment.layer, segment.part,
                          bool(segment.penalised), bool(segment.frozen)))
        return table


def _slots(needed):
    """For each (first, last) moment at which something is needed, in the order of the first ones, a slot that is free from the
    first to the last."""
    slots, occupied = [], {}                # slot -> the last moment at which what is in it is needed
    for first, last in needed:
        slot = next(slot for slot in range(len(occupied) + 1) if slot not in occupied or occupied[slot] < first)
        slots.append(slot)
        occupied[slot] = last
    return slots
