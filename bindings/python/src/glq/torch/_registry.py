"""What the operators know beside their arguments: weights by number, and one context per device."""

from __future__ import annotations

import itertools
import threading
import weakref
from typing import Any

import torch

from .. import _constants as c
from .._errors import ArgumentError
from ..context import Context
from ..tensor import Tensor

_lock = threading.Lock()
_numbers = itertools.count(1)
_by_number: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()
_by_weight: weakref.WeakKeyDictionary[Tensor, int] = weakref.WeakKeyDictionary()
_contexts: dict[str, Context] = {}


def handle_of(weight: Tensor) -> int:
    """The number by which the operators know an E8P weight.

    It is a constant: a weight has one number for life, and no other weight of the process ever gets it. So a compiler
    may put it into a graph. It does not keep the weight alive: whoever compiled or captured must.

    Raises:
        ArgumentError: Not an E8P weight.
    """
    if not isinstance(weight, Tensor):
        raise TypeError(f"weight is a {type(weight).__name__}, not a glq.Tensor")
    if weight.encoding != "e8p":
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, "weight is a dense tensor; must be an E8P weight")
    with _lock:
        number = _by_weight.get(weight)
        if number is None:
            number = _by_weight[weight] = next(_numbers)
            _by_number[number] = weight
        return number


def weight_of(handle: int) -> Tensor:
    """The weight with this number. Raises ArgumentError if there is none (any more)."""
    weight = _by_number.get(handle)
    if weight is None:
        raise ArgumentError(c.GLQ_E_BAD_HANDLE,
                            f"handle {handle} is no weight of glq.torch.handle_of, or the weight is gone")
    return weight


def context(device: Any = "cpu") -> Context:
    """The context that all modules of a device share; made when it is first asked for. A `Context` is given back."""
    if isinstance(device, Context):
        return device
    wanted = torch.device(device)
    if wanted.type == "cuda" and wanted.index is None:
        wanted = torch.device("cuda", torch.cuda.current_device())
    key = "cpu" if wanted.type == "cpu" else str(wanted)
    with _lock:
        if key not in _contexts:
            _contexts[key] = Context(key)
        return _contexts[key]
