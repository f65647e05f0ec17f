"""Two sequences: an encoder reads one, and a decoder writes the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastnet._hints import takes_other_words
from fastnet.layers._base import Layer
from fastnet.layers._graph import Graph
from fastnet.layers.joins import branch


@dataclass(frozen=True, init=False)
class EncoderDecoder(Layer):
    """A decoder over the rows of X whose `CrossAttention` sees what an encoder makes of other rows, their sources (Vaswani et al.
    2017).

    It is the first layer of a network that has a `source_shape` beside its `input_shape`, and X is a tuple (sources, rows). A
    network that writes rows is trained on rows that begin with an id reserved for the start, followed by y without its last id:
    position t then holds the id that comes before position t of y. `Network.generate` then writes a row for a new source.

    Parameters
    ----------
    encoder : sequence of Layer
        Layers that read the sources; the last of them makes rows of shape (source length, e).
    decoder : sequence of Layer
        Layers that read the rows, and what the encoder makes: ``TransformerBlock(n_heads, causal=True, cross=True)``.

    Examples
    --------
    >>> import fastnet as fn
    >>> encoder = [fn.Embedding(10, 8), fn.Positions(), fn.TransformerBlock(2), fn.LayerNorm()]
    >>> decoder = [fn.Embedding(5, 8), fn.Positions(), fn.TransformerBlock(2, causal=True, cross=True), fn.LayerNorm()]
    >>> layers = [fn.EncoderDecoder(encoder, decoder), fn.Dense(5, "softmax")]
    >>> net = fn.Network(layers, source_shape=(6,), input_shape=(4,), ragged=True, random_state=0)
    >>> net.forward(([[1, 2, 3, 4], [9, 9]], [[0, 1], [0, 1, 4]])).shape
    (2, 4, 5)
    """

    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]

    @takes_other_words()
    def __init__(self, encoder: Iterable[Layer] | Layer, decoder: Iterable[Layer] | Layer) -> None:
        object.__setattr__(self, "encoder", branch(encoder, "EncoderDecoder"))
        object.__setattr__(self, "decoder", branch(decoder, "EncoderDecoder"))

    def connect(self, graph: Graph, source: int) -> int:
        if graph.whole is None:
            graph.encoded = self._encode(graph, source)
        with graph.within("decoder"):
            end = graph.chain(self.decoder, source)
        graph.encoded = None
        if not graph.given:
            raise ValueError("EncoderDecoder needs CrossAttention in its decoder, or TransformerBlock(cross=True): it has none.")
        return end

    def _encode(self, graph: Graph, source: int) -> int:
        if [source] != graph.starts[:-1]:
            raise ValueError(
                "EncoderDecoder must be the first layer of a network with a source: give the network source_shape beside "
                "input_shape, and X as (sources, rows)."
            )
        with graph.within("encoder"):
            return graph.chain(self.encoder, graph.starts[1])
