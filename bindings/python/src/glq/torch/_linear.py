"""The module in the place of `nn.Linear`."""

from __future__ import annotations

import copy
import os
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import _constants as c
from .. import checkpoint as checkpoints
from .._errors import ArgumentError
from .._view import view
from ..dtypes import DType
from ..tensor import Tensor, scale_key, stage_key
from . import _ops  # registers the operators  # noqa: F401
from ._registry import context, handle_of

_MAX_STAGES = 4
_SCALES = ("Wscale", *map(scale_key, range(1, _MAX_STAGES)))


def _to_torch(array: np.ndarray[Any, Any], bfloat16: bool) -> torch.Tensor:
    made = torch.from_numpy(array.view(np.int16) if bfloat16 else array)
    return made.view(torch.bfloat16) if bfloat16 else made


def _part(key: str, value: Any) -> Any:
    """An entry of a state as `_rebuilt` takes it."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"is a {type(value).__name__}; must be a torch.Tensor")
    if value.is_meta:
        raise ValueError("is on the meta device, without data")
    if key not in _SCALES:
        return view(value.detach().cpu().contiguous())
    if value.numel() != 1:
        raise ValueError(f"has shape {tuple(value.shape)}; must be one number")
    return float(value)


class E8PLinear(nn.Module):
    """y = x W^T + bias with an E8P weight, which is never expanded. For inference; y has the dtype of x.

    It has no parameters and no buffers: the weight is libglq's, in libglq's layout, and is shared by copies of the
    module. So `half()` and `to(dtype)` change nothing; `to(device)` moves the weight through the host. `state_dict()`
    gives the tensors of the checkpoint format (`Qidxs_e8p`, `SU`, `Wscale`...), exported to the CPU at every call;
    `load_state_dict` takes them and makes a new weight of the same shape, of any number of bits. As in `nn.Linear` the
    module decides whether there is a bias: a missing one stays as it was, another is unexpected. Stages that the module
    has and the state lacks are missing keys, so a weight with fewer of them is taken only with ``strict=False``.

    Compiled graphs and captured CUDA graphs name the weight by a number and an address. They keep working as long as
    the module has this weight: keep the module, and compile and capture anew after `to(device)` and `load_state_dict`.

    Args:
        weight: An E8P weight (`Quantizer.run`, `Checkpoint.load`, `Tensor.e8p`), its bias within.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self._set(weight)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: checkpoints.Checkpoint | str | os.PathLike[str],
        name: str,
        device: Any = "cpu",
        *,
        in_features: int | None = None,
        out_features: int | None = None,
    ) -> E8PLinear:
        """The module for a layer of a checkpoint.

        Args:
            checkpoint: Open, or its path.
            name: Module path of the layer.
            device: A device of PyTorch, or a `glq.Context`.
            in_features: Columns before padding, where the file does not say.
            out_features: Rows before padding, likewise.

        Raises:
            NotFoundError: No such layer. ArgumentError: the given sizes do not fit.
        """
        if not isinstance(checkpoint, checkpoints.Checkpoint):
            with checkpoints.open(checkpoint) as file:
                return cls.from_checkpoint(file, name, device, in_features=in_features, out_features=out_features)
        return cls(checkpoint.load(name, context(device), in_features=in_features, out_features=out_features))

    def _set(self, weight: Tensor) -> None:
        self.handle = handle_of(weight)  # first: it checks
        self.e8p = weight
        self.out_features, self.in_features = weight.shape

    @property
    def bits(self) -> int:
        """Bits per weight."""
        return self.e8p.bits

    @property
    def device(self) -> torch.device:
        """Where the weight is."""
        return torch.device(self.e8p.device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y [..., out_features] of x [..., in_features]."""
        y: torch.Tensor = torch.ops.glq.fused_linear_e8p(x, self.handle, self.out_features)
        return y

    def extra_repr(self) -> str:
        """Sizes, bits, bias and device."""
        info = self.e8p.info
        return (f"in_features={info.in_features}, out_features={info.out_features}, bits={info.bits}, "
                f"bias={info.bias_dtype is not None}, device={self.e8p.device}")

    def __deepcopy__(self, memo: dict[int, Any]) -> E8PLinear:
        made = self.__class__.__new__(self.__class__)
        memo[id(self)] = made
        for key, value in self.__dict__.items():  # the weight is immutable, so both may have it
            made.__dict__[key] = value if key == "e8p" else copy.deepcopy(value, memo)
        return made

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("an E8PLinear cannot be pickled; save its state_dict(), or a checkpoint by glq.checkpoint.save")

    def _apply(self, fn: Any, recurse: bool = True) -> E8PLinear:
        # to(), cuda(), cpu(): nothing but this tells a module where to go, so a tensor without elements is sent ahead.
        super()._apply(fn, recurse)
        there = fn(torch.empty(0, device=self.device)).device
        if there.type not in ("cpu", "cuda"):
            raise NotImplementedError(f"an E8PLinear cannot be on device {there}; must be on cpu or cuda")
        if there != self.device:
            self._set(self._rebuilt(self._parts(), there))
        return self

    def _parts(self) -> dict[str, torch.Tensor]:
        info = self.e8p.info
        stream = torch.cuda.current_stream(self.device) if self.device.type == "cuda" else None
        found = self.e8p.export(stream=stream)
        found.setdefault("SU", np.ones(info.padded_out, np.float16))  # as in a checkpoint, which has them always
        found.setdefault("SV", np.ones(info.padded_in, np.float16))
        return {key: _to_torch(array, key == "bias" and info.bias_dtype is DType.BFLOAT16)
                for key, array in found.items()}

    def _rebuilt(self, parts: dict[str, Any], device: torch.device) -> Tensor:
        """A weight of this one's shape from a checkpoint's parts on the CPU."""
        info = self.e8p.info
        names = [(stage_key(stage, book), book) for stage in range(_MAX_STAGES) for book in ("e8p", "e81b")
                 if stage_key(stage, book) in parts]
        keys = [scale_key(stage) for stage in range(1, _MAX_STAGES)]
        scales = [1.0] + [float(parts[key]) for key in keys if key in parts]
        made = Tensor.e8p(
            context(device), [parts[name] for name, _ in names], codebooks=[book for _, book in names],
            cum_inv_scale=scales, weight_scale=float(parts["Wscale"]), su=parts.get("SU"), sv=parts.get("SV"),
            bias=parts.get("bias"), in_features=info.in_features, out_features=info.out_features,
            in_blocks=info.in_blocks, out_blocks=info.out_blocks,
        )
        if (made.info.padded_in, made.info.padded_out) != (info.padded_in, info.padded_out):
            raise ArgumentError(c.GLQ_E_SHAPE, f"the codes are for {made.info.padded_out} x {made.info.padded_in}; the "
                                               f"module has {info.padded_out} x {info.padded_in}")
        return made

    def _stage_keys(self, stage: int, given: dict[str, Any]) -> list[str]:
        """The keys of a stage: by the codebook that the state has there, else by the module's."""
        own = self.e8p.info.codebooks
        books = [book for book in ("e8p", "e81b") if stage_key(stage, book) in given]
        books.append(own[stage] if stage < len(own) else "e8p")
        return [stage_key(stage, books[0]), scale_key(stage)] if stage else [stage_key(stage, books[0])]

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for key, part in self._parts().items():
            destination[prefix + key] = part

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool,
                              missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str]) -> None:
        given = {key: state_dict[prefix + key] for key in checkpoints._LAYER_KEYS if prefix + key in state_dict}
        has_bias = self.e8p.info.bias_dtype is not None
        if not has_bias:
            given.pop("bias", None)
        stages = [self._stage_keys(stage, given) for stage in range(_MAX_STAGES)]
        count = max([1, *(1 + stage for stage, keys in enumerate(stages) if not given.keys().isdisjoint(keys))])
        absent = [key for key in (*chain(*stages[:count]), "SU", "SV", "Wscale") if key not in given]
        missing = [*absent, *chain(*stages[count:len(self.e8p.info.codebooks)])]
        if has_bias and "bias" not in given:
            missing.append("bias")
        if strict:
            unexpected_keys += [key for key in state_dict if key.startswith(prefix) and key[len(prefix):] not in given]
        if strict or given:
            missing_keys += [prefix + key for key in missing]
        if absent:
            return
        parts: dict[str, Any] = {}
        for key, value in given.items():
            try:
                parts[key] = _part(key, value)
            except Exception as error:  # whatever its type: PyTorch reports them all together
                error_msgs.append(f"{prefix}{key}: {error}")
        if len(parts) < len(given):
            return
        if "bias" in missing:
            parts["bias"] = self._parts()["bias"]
        try:
            self._set(self._rebuilt(parts, self.device))
        except ArgumentError as error:
            error_msgs.append(f"{prefix[:-1] or type(self).__name__}: {error}")
