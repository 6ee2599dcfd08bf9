"""A whole model: its linears from a checkpoint, and the tensors that the checkpoint keeps as they are."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ContextManager

import numpy as np
import torch
from torch import nn

from .. import _constants as c
from .. import checkpoint as checkpoints
from .._errors import ArgumentError, NotFoundError
from ..dtypes import DType
from ._linear import E8PLinear
from ._registry import context

_ROW_TILE, _COLUMN_TILE = 16, 64
_SHOWN = 5


@dataclass(frozen=True)
class Replacement:
    """What `replace_linears` did."""

    replaced: dict[str, E8PLinear]
    """The new modules by path."""
    kept: tuple[str, ...]
    """Paths of the `nn.Linear` that the checkpoint does not have, and that are as they were."""

    def __str__(self) -> str:
        bits = sorted({module.bits for module in self.replaced.values()})
        text = f"{len(self.replaced)} linears replaced ({', '.join(map(str, bits))} bits)"
        return f"{text}; kept: {', '.join(self.kept)}" if self.kept else text


def _opened(checkpoint: Any) -> ContextManager[checkpoints.Checkpoint]:
    if isinstance(checkpoint, checkpoints.Checkpoint):
        return nullcontext(checkpoint)
    return checkpoints.open(checkpoint)


def _some(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {rest} more" if rest > 0 else "")


def _fits(wanted: int, stored: int, padded: int, tile: int) -> bool:
    """Whether a layer stored with this size may have the wanted one: other tools store only the padded."""
    if wanted == stored:
        return True
    may_be = (-(-wanted // tile) * tile, 1 << (wanted - 1).bit_length())  # padded to a tile, or to a power of two
    return stored == padded and 0 < wanted < padded and padded in may_be


def _check(name: str, module: nn.Module | None, layer: checkpoints.LayerInfo) -> nn.Linear:
    if not isinstance(module, nn.Linear):
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT,
                            f"layer {name!r} is a {type(module).__name__} in the model; must be a Linear")
    if not (_fits(module.out_features, layer.out_features, layer.padded_out, _ROW_TILE)
            and _fits(module.in_features, layer.in_features, layer.padded_in, _COLUMN_TILE)):
        raise ArgumentError(c.GLQ_E_SHAPE, f"layer {name!r} is {layer.out_features} x {layer.in_features} in the "
                                           f"checkpoint, {module.out_features} x {module.in_features} in the model")
    if layer.has_bias != (module.bias is not None):
        has, lacks = ("checkpoint", "model") if layer.has_bias else ("model", "checkpoint")
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"layer {name!r} has a bias in the {has}, none in the {lacks}")
    return module


def replace_linears(
    model: nn.Module,
    checkpoint: checkpoints.Checkpoint | str | os.PathLike[str],
    device: Any = None,
) -> Replacement:
    """Puts an `E8PLinear` in the place of each `nn.Linear` whose module path is a layer of the checkpoint.

    All is checked before the model is touched. The other tensors are not loaded: see `load_dense`.

    Args:
        model: As Hugging Face's models: the paths of its modules are the checkpoint's names. May be on the meta device.
        checkpoint: Open, or its path.
        device: Of PyTorch, or a `glq.Context`; None: where each linear's weight is now.

    Returns:
        What was replaced, and which linears were not.

    Raises:
        NotFoundError: The checkpoint has a layer that the model has not (or no layer at all).
        ArgumentError: A layer is no linear in the model, or of another size, or has a bias on one side alone.
    """
    with _opened(checkpoint) as file:
        modules = dict(model.named_modules(remove_duplicate=False))
        lost = [name for name in file.layers if name not in modules]
        if lost or not file.layers:
            what = f"the model has no module for {_some(lost)} of" if lost else "there is no E8P layer in"
            raise NotFoundError(c.GLQ_E_NOT_FOUND, f"{what} the checkpoint {file.path}")
        linears = {name: _check(name, modules[name], file.layer(name)) for name in file.layers}
        made: dict[str, E8PLinear] = {}
        for name, linear in linears.items():
            where = linear.weight.device if device is None else device
            if isinstance(where, torch.device) and where.type == "meta":
                raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT,
                                    f"layer {name!r} is on the meta device; device must be given")
            made[name] = E8PLinear.from_checkpoint(file, name, context(where), in_features=linear.in_features,
                                                   out_features=linear.out_features)
            made[name].train(linear.training)
    for name, module in made.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module)
    kept = tuple(name for name, module in model.named_modules() if isinstance(module, nn.Linear))
    return Replacement(made, kept)


def load_dense(model: nn.Module, checkpoint: checkpoints.Checkpoint | str | os.PathLike[str]) -> tuple[str, ...]:
    """Copies the checkpoint's other tensors (embeddings, norms...) into the model's parameters and buffers so named.

    Converted to the dtype and device that the model has there. What is on the meta device must get memory first:
    ``model.to_empty(device=...)``.

    Returns:
        Names of the model's parameters that the checkpoint does not have; tied ones count once.

    Raises:
        NotFoundError: The checkpoint has a tensor that the model has not. ArgumentError: one of another shape or type,
            or on the meta device.
    """
    with _opened(checkpoint) as file:
        own: dict[str, torch.Tensor] = dict(model.named_parameters(remove_duplicate=False))
        own.update(model.named_buffers(remove_duplicate=False))
        lost = [name for name in file.dense if name not in own]
        if lost:
            raise NotFoundError(c.GLQ_E_NOT_FOUND,
                                f"the model has no tensor for {_some(lost)} of the checkpoint {file.path}")
        sources = {name: file.view(name) for name in file.dense}
        for name, source in sources.items():
            if source.shape != tuple(own[name].shape):
                raise ArgumentError(c.GLQ_E_SHAPE, f"tensor {name!r} has shape {source.shape} in the checkpoint, "
                                                   f"{tuple(own[name].shape)} in the model")
            if own[name].is_meta:
                raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT,
                                    f"tensor {name!r} is on the meta device in the model, without memory to copy into; "
                                    "call model.to_empty(device=...) first")
        loaded = set()
        with torch.no_grad():
            for name, source in sources.items():
                array = np.array(source.numpy())  # a copy: the file's memory is not to be written
                if source.dtype is DType.BFLOAT16:
                    own[name].copy_(torch.from_numpy(array.view(np.int16)).view(torch.bfloat16))
                else:
                    own[name].copy_(torch.from_numpy(array))
                loaded.add(id(own[name]))
    return tuple(name for name, parameter in model.named_parameters() if id(parameter) not in loaded)
