"""What a network answers: logits found in whatever holds them, and told from probabilities."""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from xailib.errors import InputError

Kind = Literal["logits", "probabilities", "log_probabilities"]
KINDS = ("auto", "logits", "probabilities", "log_probabilities")
_ENDS = ("Addmm", "Mm", "Bmm", "Convolution", "Mean", "Sum")  # operations that no bounded head ends in
_MOVES = (
    "View",
    "Squeeze",
    "Unsqueeze",
    "Select",
    "Slice",
    "Permute",
    "Transpose",
    "TBackward",
    "Clone",
    "Alias",
    "Copy",
)


def unwrapped(answer: Any, classes: int | None) -> Any:
    """Return the tensor `(n, classes)` in an answer: itself, its `logits`, or the one entry of that shape.

    Of a tuple's entries the first that fits is meant; of a dict's there must be one. Where none fits, the first tensor,
    or the answer if there is none, is returned for others to refuse.

    Args:
        answer: the network's.
        classes: how many there are; None where it is not known, so that entries of several widths could be the logits.

    Raises:
        InputError: nothing tells which entry is meant.
    """
    if isinstance(answer, Tensor):
        return answer
    named = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    if isinstance(named, Tensor):
        return named
    entries = (
        answer if isinstance(answer, Mapping) else dict(enumerate(answer)) if isinstance(answer, tuple | list) else {}
    )
    tensors = {key: value for key, value in entries.items() if isinstance(value, Tensor)}
    rows = {key: value for key, value in tensors.items() if value.ndim == 2 and value.is_floating_point()}
    fitting = {key: value for key, value in rows.items() if classes in (None, value.shape[1])}
    if len(fitting) > 1 and isinstance(answer, Mapping):
        raise InputError(
            f"the network answers a dict in which {' and '.join(map(repr, fitting))} all could be its logits; wrap it in a "
            "module whose forward returns the right one"
        )
    widths = [str(value.shape[1]) for value in fitting.values()]
    if len(set(widths)) > 1:
        raise InputError(
            f"the network answers a {type(answer).__name__} in which entries of {' and '.join(widths)} values an image could "
            "be its logits; give classes, one name a logit, or wrap it in a module whose forward returns the right one"
        )
    return next(iter(fitting.values()), next(iter(tensors.values()), answer))


def described(answer: Any) -> str:
    """Say in words what an answer is."""
    if isinstance(answer, Tensor):
        return f"{str(answer.dtype).removeprefix('torch.')} of shape {tuple(answer.shape)}"
    if isinstance(answer, Mapping):
        return f"a dict of {', '.join(map(repr, answer))}"
    return f"a {type(answer).__name__}"


def kind_of(rows: Tensor) -> Kind:
    """Tell logits from probabilities and their logarithms by the sums of rows `(n, classes)`."""
    rows = rows.detach().double()
    if (rows >= 0).all() and (rows.sum(1) - 1).abs().max() < 1e-5:
        return "probabilities"
    return "log_probabilities" if rows.logsumexp(1).abs().max() < 1e-5 else "logits"


def within_unit(rows: Tensor) -> bool:
    """Whether all values lie in [0, 1]: those of a sigmoid do, those of logits rarely."""
    return bool(((rows >= 0) & (rows <= 1)).all())


def ends_linear(rows: Tensor) -> bool | None:
    """Whether the operation that made `rows` is linear (True) or a sigmoid (False); None where its graph does not say."""
    node = rows.grad_fn
    while node is not None and any(move in node.name() for move in _MOVES) and node.next_functions:
        node = node.next_functions[0][0]
    if node is not None and "Sigmoid" in node.name():
        return False
    return True if node is not None and node.name().startswith(_ENDS) else None
