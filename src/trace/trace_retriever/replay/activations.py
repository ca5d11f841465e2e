"""Bytes that a forward pass keeps for the backward one; `saved` counts them in real passes.

A layer of the language model under LoRA keeps, for each token (h hidden size, w width of attention, m of the
MLP, r rank; b bytes of a number):

- the inputs of both norms, in float32: 8 h;
- the norms' outputs, which are the adapters' inputs: 2 h b;
- queries, keys and values (repeated for each query head, as a padding mask has it), and attention's output
  before and after its heads are joined: 5 w b, and its log-sum-exp, 4 bytes a head;
- the MLP's gate before and after its activation, its other branch, and their product: 4 m b;
- what each of the seven adapters hands on: 7 r b.

Recomputing keeps h b a layer instead, and one layer's full bytes at a time in the backward pass. After the
layers the last norm keeps its input in float32, 4 h. The vision tower is frozen and keeps nothing; its
projector keeps its norm's input (float32) and output, and its hidden layer before and after the activation,
each merge x its width a visual token. `lm_head` is recomputed where there are labels, a part of the batch
at a time: logits, their float32 copy, log-softmax and its gradient, and the gradient in the logits' own
type.
"""

from dataclasses import dataclass

from trace_retriever.replay.flops import Shape

ADAPTED = 7  # linear layers of a language layer
NORM = 4  # a norm keeps its input in float32
LOGITS = 2 + 4 + 4 + 4 + 2  # bytes of a label and a row of the vocabulary


@dataclass(frozen=True)
class Kept:
    """Bytes of activations on a GPU.

    Attributes:
        stored: from the forward pass until the backward pass takes them.
        layer: of one layer that is recomputed, for the largest part of the batch.
        head: of `lm_head` when it is recomputed, for the same part.
    """

    stored: float
    layer: float
    head: float

    @property
    def peak(self) -> float:
        """At most at a time: a layer and `lm_head` are not recomputed together."""
        return self.stored + max(self.layer, self.head)


def layer_token(shape: Shape, rank: int, itemsize: int = 2, heads: int = 0) -> float:
    """Bytes that a language layer keeps of each token."""
    kept = 2 * shape.hidden + 5 * shape.width + 4 * shape.mlp + ADAPTED * rank
    return 2.0 * NORM * shape.hidden + itemsize * kept + 4.0 * heads


def input_token(shape: Shape, itemsize: int = 2) -> float:
    """Bytes of each token that is kept when layers are recomputed: their inputs, and the last norm's."""
    return float(shape.layers * shape.hidden * itemsize) + NORM * shape.hidden


def projector_token(shape: Shape, itemsize: int = 2) -> float:
    """Bytes that the projector keeps of each visual token."""
    wide = shape.merge * shape.vision_width
    return wide * (4.0 + 3.0 * itemsize)


def kept(
    shape: Shape,
    rank: int,
    *,
    tokens: float,
    visual: float,
    labels: float,
    parts: int,
    recompute: bool,
    itemsize: int = 2,
) -> Kept:
    """Activations of one GPU's rows.

    Args:
        shape, rank: network and adapters.
        tokens: positions, padding counted in.
        visual: of them, those of pictures.
        labels: tokens to predict.
        parts: into which the rows are cut by length; the largest is taken to be twice the mean.
        recompute: whether layers are.
        itemsize: bytes of a number.
    """
    largest = min(1.0, 2.0 / parts)
    full = layer_token(shape, rank, itemsize)
    layers = input_token(shape, itemsize) if recompute else shape.layers * full
    return Kept(
        stored=tokens * layers + visual * projector_token(shape, itemsize),
        layer=largest * tokens * full if recompute else 0.0,
        head=largest * labels * shape.vocabulary * LOGITS,
    )
