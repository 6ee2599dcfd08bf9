"""Checkpoints: safetensors files in the GLQ layout, read memory-mapped by the library, written here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import _constants as c
from ._errors import ArgumentError, BadFileError
from ._glq_cffi import ffi
from ._loader import c_path, c_text, check, integer, library, new_struct, text
from ._owned import Owned
from .context import Context, stream_pointer
from .dtypes import DType
from .tensor import Tensor, stage_key
from ._view import View, view

CONFIG = "config.json"
QUANTIZE_CONFIG = "quantize_config.json"
MODEL = "model.safetensors"
LAYERS_KEY = "glq.layers"

_STORED = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn", "I16": "int16",
    "U16": "uint16", "F16": "float16", "BF16": "bfloat16", "I32": "int32", "U32": "uint32", "F32": "float32",
    "F64": "float64", "I64": "int64", "U64": "uint64",
}
_NAMES = {name: stored for stored, name in _STORED.items()}
_WIDTHS = {stored: 1 if stored == "BOOL" or stored.startswith("F8") else int(stored.lstrip("BFIU")) // 8
           for stored in _STORED}


@dataclass(frozen=True)
class LayerInfo:
    """An E8P layer of a checkpoint, before it is loaded."""

    name: str
    bits: int
    out_features: int
    in_features: int
    padded_out: int
    padded_in: int
    weight_scale: float
    cum_inv_scale: tuple[float, ...]
    has_bias: bool
    nbytes: int

    @property
    def bits_per_weight(self) -> float:
        """Stored bits, vectors and padding included, per weight of the original matrix."""
        return 8 * self.nbytes / (self.out_features * self.in_features)


class _Tensors(Mapping[str, np.ndarray[Any, Any]]):
    """The tensors of a checkpoint by name: read-only arrays over the mapped file."""

    def __init__(self, owner: Checkpoint) -> None:
        self._owner = owner

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        return self._owner.view(name).numpy()

    def __iter__(self) -> Iterator[str]:
        return iter(self._owner._names("tensor"))

    def __len__(self) -> int:
        return len(self._owner._names("tensor"))

    def __contains__(self, name: object) -> bool:
        return name in self._owner._names("tensor")


class Checkpoint:
    """An open checkpoint. Made by `open`. Any number of threads may use it.

    The file stays mapped, and must not be changed, until the checkpoint and all arrays from it are gone.
    """

    def __init__(self, path: str | bytes | os.PathLike[str]) -> None:
        self.path = Path(os.fsdecode(path))
        """The file or folder that was opened."""
        self._lib = library()
        out = ffi.new("glq_checkpoint **")
        check(self._lib.glq_checkpoint_open(c_path(path, "path"), out))
        self._open: Owned | None = Owned(out[0], self._lib.glq_checkpoint_destroy)
        self._name_lists: dict[str, tuple[str, ...]] = {}

    @property
    def _owned(self) -> Owned:
        # To be kept in a local until a body is done: another thread may close the checkpoint meanwhile, and what the
        # library hands out (names, descriptors) points into the mapping.
        owned = self._open
        if owned is None:
            raise ArgumentError(c.GLQ_E_BAD_HANDLE, "the checkpoint has been closed")
        return owned

    def _names(self, kind: str) -> tuple[str, ...]:
        owned = self._owned
        if kind not in self._name_lists:
            count, name = ffi.new("int64_t *"), ffi.new("const char **")
            check(getattr(self._lib, f"glq_checkpoint_{kind}_count")(owned.pointer, count))
            found = []
            for index in range(count[0]):
                check(getattr(self._lib, f"glq_checkpoint_{kind}_name")(owned.pointer, index, name))
                found.append(text(name[0]))
            self._name_lists[kind] = tuple(found)
        return self._name_lists[kind]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the E8P layers (module paths), sorted."""
        return self._names("layer")

    @property
    def tensors(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """All tensors by name, as read-only arrays over the mapped file (bfloat16 as uint16, see `view`)."""
        return _Tensors(self)

    @property
    def dense(self) -> tuple[str, ...]:
        """Names of the tensors that do not belong to an E8P layer."""
        own = {f"{layer}.{key}" for layer in self.layers for key in _LAYER_KEYS}
        return tuple(name for name in self._names("tensor") if name not in own)

    def view(self, name: str) -> View:
        """A tensor as a view, which knows its dtype (NumPy has no bfloat16). Raises NotFoundError."""
        return self._view(self._owned, name)

    def _view(self, owned: Owned, name: str) -> View:
        struct = ffi.new("glq_view *")
        check(self._lib.glq_checkpoint_tensor(owned.pointer, c_text(name, "name"), struct))
        return View(struct, owned)

    def _layer(self, owned: Owned, name: str) -> Any:
        desc = new_struct("glq_e8p_desc")
        check(self._lib.glq_checkpoint_layer(owned.pointer, c_text(name, "name"), desc))
        return desc

    def layer(self, name: str) -> LayerInfo:
        """What an E8P layer is. Raises NotFoundError."""
        owned = self._owned
        desc = self._layer(owned, name)
        prefix = name + "."
        own = [prefix + key for key in _LAYER_KEYS if prefix + key in self._names("tensor")]
        stages = [desc.stages[index] for index in range(desc.num_stages)]
        bits = sum(2 if stage.codebook == c.GLQ_CODEBOOK_E8P else 1 for stage in stages)
        return LayerInfo(
            name, bits, desc.out_features, desc.in_features, desc.padded_out, desc.padded_in, desc.weight_scale,
            tuple(stage.cum_inv_scale for stage in stages), desc.bias != ffi.NULL,
            sum(self._view(owned, key).nbytes for key in own),
        )

    def load(
        self,
        name: str,
        context: Context,
        *,
        out_features: int | None = None,
        in_features: int | None = None,
        stream: Any = None,
    ) -> Tensor:
        """Loads an E8P layer onto a context's device; the weight has its own copy.

        Args:
            name: Module path.
            context: Where to.
            out_features: Rows before padding, where the file does not say: checkpoints of other tools have only the
                padded size (or that of the bias).
            in_features: Columns before padding, likewise.
            stream: Ordered after the work queued on it; complete on return.

        Raises:
            NotFoundError: No such layer. ArgumentError: the given sizes do not fit.
        """
        owned = self._owned
        desc = self._layer(owned, name)
        if out_features is not None:
            desc.out_features = integer(out_features, "out_features")
        if in_features is not None:
            desc.in_features = integer(in_features, "in_features")
        return Tensor._from_desc(context, stream_pointer(stream, context._device), desc)

    @property
    def config(self) -> dict[str, Any]:
        """`config.json` beside the file, or an empty dictionary."""
        return _read_json(self._folder / CONFIG)

    @property
    def quantize_config(self) -> dict[str, Any]:
        """`quantize_config.json` beside the file, or an empty dictionary."""
        return _read_json(self._folder / QUANTIZE_CONFIG)

    @property
    def _folder(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent

    def close(self) -> None:
        """Closes the checkpoint; the mapping goes with the last array."""
        self._open = None

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"glq.checkpoint.Checkpoint({str(self.path)!r})"


_LAYER_KEYS = tuple(
    [stage_key(stage, book) for stage in range(4) for book in ("e8p", "e81b")]
    + ["SU", "SV", "Wscale", "inv_resid_scale", "inv_resid_scale2", "inv_resid_scale3", "bias"]
)


def open(path: str | bytes | os.PathLike[str]) -> Checkpoint:
    """Opens a checkpoint and checks all of it but the data.

    Args:
        path: A `.safetensors` file, a `.safetensors.index.json` file, or a folder with `model.safetensors` or
            `model.safetensors.index.json`.

    Raises:
        BadFileError: Truncated, malformed or inconsistent. ResourceError: it cannot be read.
    """
    return Checkpoint(path)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadFileError(c.GLQ_E_BAD_FILE, f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise BadFileError(c.GLQ_E_BAD_FILE, f"{path} holds no JSON object")
    return content


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


@dataclass(frozen=True)
class StoredTensor:
    """Bytes to be written as they are, for dtypes that have no `DType`. `dtype` as in safetensors: ``"F8_E4M3"``."""

    dtype: str
    shape: tuple[int, ...]
    data: np.ndarray[Any, np.dtype[np.uint8]]


def _bytes_of(thing: np.ndarray[Any, Any] | View | Tensor | StoredTensor) -> tuple[str, tuple[int, ...], Any]:
    """safetensors' name of the dtype, the shape, and the bytes as a contiguous array."""
    if isinstance(thing, StoredTensor):
        return thing.dtype, thing.shape, np.ascontiguousarray(thing.data)
    if isinstance(thing, np.ndarray):
        name, array = thing.dtype.newbyteorder("=").name, thing.astype(thing.dtype.newbyteorder("<"), copy=False)
    else:
        name, array = str(thing.dtype), thing.numpy()
    if name not in _NAMES:
        raise ArgumentError(c.GLQ_E_DTYPE, f"dtype {name} cannot be stored; safetensors has: {', '.join(_NAMES)}")
    return _NAMES[name], thing.shape, np.ascontiguousarray(array)


def write_tensors(
    path: str | bytes | os.PathLike[str],
    tensors: Mapping[str, np.ndarray[Any, Any] | View | Tensor | StoredTensor],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes a safetensors file; a half-written one never appears under `path`.

    The same tensors give the same bytes always (the safetensors package orders metadata differently every time), and
    nothing is held in memory that was not before.

    Raises:
        ArgumentError: A dtype that the format does not have.
    """
    parts = {name: _bytes_of(thing) for name, thing in tensors.items()}
    # Wide types first, so that every tensor is aligned to its element.
    order = sorted(parts, key=lambda name: (-_WIDTHS.get(parts[name][0], 1), name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name in order:
        dtype, shape, data = parts[name]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + data.nbytes]}
        offset += data.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    target = Path(os.fsdecode(path))
    temporary = target.with_name(target.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in order:
                file.write(parts[name][2].reshape(-1).view(np.uint8))
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def layer_tensors(name: str, weight: Tensor, *, stream: Any = None) -> dict[str, np.ndarray[Any, Any] | View]:
    """The tensors a checkpoint stores for a layer, by full name."""
    info = weight.info
    parts: dict[str, np.ndarray[Any, Any] | View] = dict(weight.export(stream=stream))
    parts.setdefault("SU", np.ones(info.padded_out, np.float16))  # the format has them always
    parts.setdefault("SV", np.ones(info.padded_in, np.float16))
    if info.bias_dtype is DType.BFLOAT16:
        parts["bias"] = view(parts["bias"], DType.BFLOAT16)
    return {f"{name}.{key}": part for key, part in parts.items()}


def quantization_config(layers: Mapping[str, LayerInfo]) -> dict[str, Any]:
    """The `quantization_config` of config.json for these layers."""
    bits = {name: layer.bits for name, layer in layers.items()}
    weights = {name: layer.padded_out * layer.padded_in for name, layer in layers.items()}
    average = sum(bits[name] * weights[name] for name in bits) / max(sum(weights.values()), 1)
    uniform = len(set(bits.values())) == 1
    return {
        "quant_method": "glq",
        "codebook": "e8p",
        "block_diagonal": all(
            layer.padded_out == -(-layer.out_features // 16) * 16 and layer.padded_in == -(-layer.in_features // 64) * 64
            for layer in layers.values()
        ),
        "codesz": 8,
        "bpw": next(iter(bits.values())) if uniform else round(average, 2),
        "layer_bpw": bits,
    }


def save(
    path: str | bytes | os.PathLike[str],
    layers: Mapping[str, Tensor],
    tensors: Mapping[str, np.ndarray[Any, Any] | View | Tensor | StoredTensor] | None = None,
    config: Mapping[str, Any] | None = None,
    quantize_config: Mapping[str, Any] | None = None,
) -> None:
    """Writes a checkpoint that `open` and every other reader of the format loads.

    Args:
        path: A folder (made if need be), which gets `model.safetensors`, `config.json` and `quantize_config.json`; or
            a file name ending in `.safetensors`, which gets the tensors alone.
        layers: The E8P weights by module path.
        tensors: Further tensors by full name. A bfloat16 array is given as ``glq.view(array, "bfloat16")``.
        config: The model's own config.json; `quantization_config` is set in it.
        quantize_config: Further entries of quantize_config.json.

    Raises:
        ArgumentError: A name is taken twice, or a layer is not an E8P weight.
    """
    for name, weight in layers.items():
        if weight.encoding != "e8p":
            raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"layer {name!r} is a dense tensor; put it among the tensors")
    infos = {name: _describe(name, weight) for name, weight in layers.items()}
    content: dict[str, Any] = {}
    for name, weight in layers.items():
        content.update(layer_tensors(name, weight))
    write(path, infos, content, tensors, config, quantize_config)


def _describe(name: str, weight: Tensor) -> LayerInfo:
    info = weight.info
    return LayerInfo(name, info.bits, info.out_features, info.in_features, info.padded_out, info.padded_in,
                     info.weight_scale, info.cum_inv_scale, info.bias_dtype is not None, 0)


def layers_metadata(layers: Mapping[str, LayerInfo]) -> dict[str, str]:
    """The metadata of a file with these layers: their sizes before padding, which the format itself does not store."""
    sizes = {name: [layer.out_features, layer.in_features] for name, layer in layers.items()}
    return {"format": "pt", LAYERS_KEY: json.dumps(sizes, separators=(",", ":"))}


def write(
    path: str | bytes | os.PathLike[str],
    layers: Mapping[str, LayerInfo],
    content: Mapping[str, Any],
    tensors: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    quantize_config: Mapping[str, Any] | None = None,
) -> None:
    """As `save`, from tensors that have the checkpoint's layout already (`layer_tensors`)."""
    both = dict(content)
    for name, tensor in (tensors or {}).items():
        prefix = name.rpartition(".")[0]
        if name in both or (prefix in layers and name == prefix + ".weight"):
            raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"tensor {name!r} belongs to the layer {prefix!r} already")
        both[name] = tensor
    target = Path(os.fsdecode(path))
    if target.suffix == ".safetensors":
        write_tensors(target, both, layers_metadata(layers))
        return
    target.mkdir(parents=True, exist_ok=True)
    write_tensors(target / MODEL, both, layers_metadata(layers))
    entries = quantization_config(layers)
    _write_json(target / CONFIG, {**(config or {}), "quantization_config": entries})
    summary = {key: entries[key] for key in ("quant_method", "codebook", "block_diagonal", "codesz", "bpw")}
    _write_json(target / QUANTIZE_CONFIG, {**summary, "n_quantized_layers": len(layers), **(quantize_config or {})})
