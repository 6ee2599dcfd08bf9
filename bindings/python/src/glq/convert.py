"""Quantizes the linear layers of a whole safetensors model. What ``python -m glq quantize`` does."""

from __future__ import annotations

import fnmatch
import json
import math
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import _constants as c
from . import checkpoint
from ._errors import ArgumentError, BadFileError, NotFoundError
from .checkpoint import LayerInfo, StoredTensor
from .context import Context
from .dtypes import DType
from .quantizer import Quantizer, QuantizerReport
from ._view import View

DEFAULT_EXCLUDE = ("*embed*", "*lm_head*", "*norm*", "*router*", "*.gate", "*wte", "*wpe", "*vision*", "*audio*")
"""Module paths that are not quantized unless asked for: embeddings, output heads, norms, routers, other towers."""
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".onnx", ".gguf", ".msgpack", ".npz")
_WORK = ".glq-quantize"
_FLOATS = {"F16", "BF16", "F32", "F64"}


@dataclass(frozen=True)
class Options:
    """What to quantize and how.

    Attributes:
        bits: Bits per weight where no rule says otherwise.
        rules: (pattern, bits) pairs; the last pattern that matches a module path counts.
        include: Patterns of module paths to quantize.
        exclude: Patterns of module paths to leave alone.
        scale_search, refine, seed, damping, pow2: As for `Quantizer`.
    """

    bits: int = 4
    rules: tuple[tuple[str, int], ...] = ()
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    scale_search: bool = False
    refine: int = 0
    seed: int | None = None
    damping: float | None = None
    pow2: bool = False

    def bits_of(self, name: str) -> int:
        """Bits for a module path."""
        found = self.bits
        for pattern, bits in self.rules:
            if fnmatch.fnmatchcase(name, pattern):
                found = bits
        return found

    def selects(self, name: str) -> bool:
        """Whether a module path is to be quantized."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.include) and not any(
            fnmatch.fnmatchcase(name, pattern) for pattern in self.exclude
        )


@dataclass(frozen=True)
class Step:
    """How far the work is: layer `index` of `count`, `done` of `total` in it; `report` once it is finished."""

    index: int
    count: int
    name: str
    bits: int
    done: int
    total: int
    phase: str
    report: QuantizerReport | None = None


StepFunction = Callable[[Step], None]


@dataclass(frozen=True)
class Summary:
    """What was done."""

    layers: dict[str, LayerInfo]
    reports: dict[str, QuantizerReport] = field(repr=False)
    calibrated: int
    source_bytes: int
    output_bytes: int


# Reading


def source_files(path: Path) -> list[Path]:
    """The safetensors files of a model."""
    if path.is_file() and not path.name.endswith(".index.json"):
        return [path]
    index = path / "model.safetensors.index.json" if path.is_dir() else path
    if path.is_dir() and (path / checkpoint.MODEL).is_file():
        return [path / checkpoint.MODEL]
    if not index.is_file():
        raise NotFoundError(c.GLQ_E_NOT_FOUND, f"{path} holds neither {checkpoint.MODEL} nor {index.name}")
    names = checkpoint._read_json(index).get("weight_map")
    if not isinstance(names, dict):
        raise BadFileError(c.GLQ_E_BAD_FILE, f"{index} has no weight_map")
    return sorted({index.parent / str(name) for name in names.values()})


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """All tensors of one file as mapped bytes, whatever their dtype."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            raise BadFileError(c.GLQ_E_BAD_FILE, f"{path}: the header of {length} bytes does not fit the file of {size}")
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise BadFileError(c.GLQ_E_BAD_FILE, f"{path}: the header is not JSON: {error}") from None
    start = 8 + length
    data = np.memmap(path, np.uint8, "r", offset=start) if size > start else np.empty(0, np.uint8)
    found: dict[str, StoredTensor] = {}
    try:
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            if not 0 <= begin <= end <= len(data):
                raise ValueError(f"tensor {name!r} at {begin}..{end} of {len(data)} bytes")
            found[name] = StoredTensor(str(entry["dtype"]), tuple(entry["shape"]), data[begin:end])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadFileError(c.GLQ_E_BAD_FILE, f"{path}: the header is malformed: {error}") from None
    return found


class Calibration:
    """Activations or Hessians per layer, from an .npz or .safetensors file.

    The keys are ``<module path>.hessian`` ([in, in], the mean of x^T x) or ``<module path>.activations``
    ([tokens, in]), the latter also in pieces, ``<module path>.activations.0`` and so on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any
        if path.suffix == ".npz":
            try:
                self._file = np.load(path, allow_pickle=False)
                self.keys = tuple(self._file.files)
            except (EOFError, ValueError, AttributeError, zipfile.BadZipFile) as error:
                raise BadFileError(c.GLQ_E_BAD_FILE, f"{path} is no .npz file: {error}") from None
        else:
            self._file = checkpoint.open(path)
            self.keys = tuple(self._file.tensors)

    def _read(self, key: str) -> np.ndarray[Any, Any] | View:
        if isinstance(self._file, checkpoint.Checkpoint):
            return self._file.view(key)
        try:
            array: np.ndarray[Any, Any] = self._file[key]
        except Exception as error:  # a damaged archive fails in many ways
            raise BadFileError(c.GLQ_E_BAD_FILE, f"{self.path}: {key} cannot be read: {error}") from None
        return array

    def feed(self, name: str, quantizer: Quantizer) -> bool:
        """Gives a quantizer what there is for its layer; False if there is nothing."""
        if f"{name}.hessian" in self.keys:
            quantizer.set_hessian(self._read(f"{name}.hessian"))
            return True
        found = False
        for key in sorted(self.keys):
            if key == f"{name}.activations" or key.startswith(f"{name}.activations."):
                quantizer.add_batch(self._read(key))
                found = True
        return found


# Working


class _Job:
    """The half-finished work in the output folder: finished layers, the state of an interrupted one."""

    def __init__(self, output: Path, description: dict[str, Any]) -> None:
        self.folder = output / _WORK
        self.description = json.loads(json.dumps(description))
        plan = self.folder / "job.json"
        if plan.is_file() and checkpoint._read_json(plan) != self.description:
            raise ArgumentError(
                c.GLQ_E_WRONG_STATE,
                f"{self.folder} holds the unfinished work of another source, calibration or set of options; "
                "repeat that command to finish it, or remove the folder",
            )
        if not plan.is_file():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            checkpoint._write_json(plan, self.description)

    def _path(self, index: int, suffix: str) -> Path:
        return self.folder / f"{index:05d}{suffix}"

    def finished(self, index: int) -> dict[str, Any] | None:
        """The note about a finished layer, or None."""
        note = self._path(index, ".json")
        return checkpoint._read_json(note) if note.is_file() else None

    def tensors(self, index: int) -> dict[str, StoredTensor]:
        return stored_tensors(self._path(index, ".safetensors"))

    def finish(self, index: int, content: Mapping[str, Any], note: dict[str, Any]) -> None:
        checkpoint.write_tensors(self._path(index, ".safetensors"), content)
        checkpoint._write_json(self._path(index, ".json"), note)  # last: it says that the layer is done
        self._path(index, ".state").unlink(missing_ok=True)

    def suspend(self, index: int, state: bytes) -> None:
        path = self._path(index, ".state")
        temporary = path.with_suffix(".part")
        temporary.write_bytes(state)
        os.replace(temporary, path)

    def suspended(self, index: int) -> bytes | None:
        path = self._path(index, ".state")
        return path.read_bytes() if path.is_file() else None

    def close(self) -> None:
        (self.folder / "job.json").unlink()  # first: from here on the rest means nothing
        shutil.rmtree(self.folder)


def _stamp(path: Path) -> list[Any]:
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def select_layers(tensors: Mapping[str, StoredTensor], options: Options) -> list[str]:
    """Module paths of the weights to quantize, sorted: two-dimensional, of a float type, at least 8 columns."""
    found = []
    for name, tensor in tensors.items():
        module, _, last = name.rpartition(".")
        if last == "weight" and len(tensor.shape) == 2 and tensor.dtype in _FLOATS and tensor.shape[1] >= 8:
            if options.selects(module):
                found.append(module)
    return sorted(found)


def _quantizer(context: Context, weight: View, bits: int, options: Options) -> Quantizer:
    rows, columns = weight.shape
    return Quantizer(context, columns, rows, bits, scale_search=options.scale_search, refine=options.refine,
                     seed=options.seed, damping=options.damping, pow2=options.pow2)


def _run_layer(job: _Job, source: checkpoint.Checkpoint, context: Context, options: Options,
               calibration: Calibration | None, step: Step, progress: StepFunction | None) -> dict[str, Any]:
    """Quantizes one layer, going on where it was interrupted; returns the note about it."""
    weight = source.view(step.name + ".weight")
    bias_name = step.name + ".bias"
    bias = source.view(bias_name) if bias_name in source.tensors else None
    if bias is not None and bias.dtype is DType.FLOAT64:
        raise ArgumentError(c.GLQ_E_DTYPE, f"{bias_name} is float64; must be float16, bfloat16 or float32")
    state, calibrated = job.suspended(step.index), False
    if state is not None:
        try:
            quantizer = Quantizer.load(context, state)
            calibrated = quantizer.samples > 0 or calibration is not None and _has(calibration, step.name)
        except BadFileError:
            state = None
    if state is None:
        quantizer = _quantizer(context, weight, step.bits, options)
        calibrated = calibration is not None and calibration.feed(step.name, quantizer)

    def report(done: int, total: int, phase: str) -> None:
        if progress is not None:
            progress(Step(step.index, step.count, step.name, step.bits, done, total, phase))

    try:
        tensor = quantizer.run(weight, bias, progress=report)
    except BaseException:
        job.suspend(step.index, quantizer.save())
        raise
    note = {
        "layer": asdict(checkpoint._describe(step.name, tensor)),
        "report": asdict(quantizer.report()),
        "calibrated": calibrated,
    }
    job.finish(step.index, checkpoint.layer_tensors(step.name, tensor), note)
    return note


def _has(calibration: Calibration, name: str) -> bool:
    return any(key == f"{name}.hessian" or key.startswith(f"{name}.activations") for key in calibration.keys)


def _tuples(note: dict[str, Any]) -> dict[str, Any]:
    """Dataclass fields as they were before they went through JSON."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in note.items()}


def _copy_companions(source: Path, output: Path) -> None:
    """Tokenizer and other small files of the model's folder."""
    own = {checkpoint.CONFIG, checkpoint.QUANTIZE_CONFIG}
    for path in sorted(source.iterdir()) if source.is_dir() else []:
        skip = path.name in own or path.name.startswith(".") or path.name.endswith(".index.json")
        if path.is_file() and not skip and path.suffix not in WEIGHTS:
            shutil.copyfile(path, output / path.name)


def _left_over(stored: Mapping[str, StoredTensor], layers: Sequence[str]) -> Iterator[tuple[str, StoredTensor]]:
    taken = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    return ((name, tensor) for name, tensor in stored.items() if name not in taken)


def quantize_model(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: Options = Options(),
    *,
    context: Context | None = None,
    calibration: str | os.PathLike[str] | None = None,
    progress: StepFunction | None = None,
) -> Summary:
    """Quantizes the selected linear layers of a model and writes a checkpoint; all else is taken over as it is.

    An exception out of `progress` (KeyboardInterrupt among them) stops the work and is raised again; what was done
    stays in the output folder, and the same call goes on from there, with the same bytes in the end.

    Args:
        source: A safetensors file, its index, or a folder with one.
        output: Folder to write to; made if need be.
        options: What to quantize and how.
        context: Whose threads to use; None: a CPU context with defaults.
        calibration: File of activations or Hessians, see `Calibration`; without one every input counts the same.
        progress: Told about every step.

    Raises:
        BadFileError: A file is broken. ArgumentError: nothing to quantize, or the output folder holds other work.
    """
    source_path, output_path = Path(source), Path(output)
    opened = checkpoint.open(source_path)  # checks the files
    if opened.layers:
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"{source_path} is quantized already ({len(opened.layers)} layers)")
    files = source_files(source_path)
    stored: dict[str, StoredTensor] = {}
    for file in files:
        stored.update(stored_tensors(file))
    layers = select_layers(stored, options)
    if not layers:
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"no layer of {source_path} is selected by these patterns")
    statistics = None if calibration is None else Calibration(Path(calibration))
    job = _Job(output_path, {
        "source": [_stamp(file) for file in files],
        "calibration": None if calibration is None else _stamp(Path(calibration)),
        "options": asdict(options),
        "layers": layers,
    })
    own_context = context or Context()
    notes: dict[str, dict[str, Any]] = {}
    for index, name in enumerate(layers):
        bits = options.bits_of(name)
        note = job.finished(index)
        if note is None:
            note = _run_layer(job, opened, own_context, options, statistics,
                              Step(index, len(layers), name, bits, 0, 0, ""), progress)
        notes[name] = note
        if progress is not None:
            report = QuantizerReport(**_tuples(note["report"]))
            progress(Step(index, len(layers), name, bits, 1, 1, "done", report))
    infos = {name: LayerInfo(**_tuples(note["layer"])) for name, note in notes.items()}
    reports = {name: QuantizerReport(**_tuples(note["report"])) for name, note in notes.items()}
    content: dict[str, StoredTensor] = {}
    for index in range(len(layers)):
        content.update(job.tensors(index))
    # A layer of zeros has no signal-to-noise ratio, and JSON no infinity.
    ratios = [report.sqnr_db for report in reports.values() if math.isfinite(report.sqnr_db)]
    checkpoint.write(output_path, infos, content, dict(_left_over(stored, layers)), opened.config, {
        "tune_iters": options.refine,
        "nsamples": round(max(report.samples for report in reports.values())),
        "avg_sqnr_db": round(sum(ratios) / len(ratios), 2) if ratios else None,
        "total_time_s": round(sum(report.seconds for report in reports.values()), 1),
        "source_model": source_path.name,
    })
    _copy_companions(source_path, output_path)
    job.close()
    return Summary(infos, reports, sum(note["calibrated"] for note in notes.values()),
                   sum(file.stat().st_size for file in files), (output_path / checkpoint.MODEL).stat().st_size)
