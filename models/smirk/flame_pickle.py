"""Read the numbers out of a pickle without running anything in it.

FLAME comes as a Python 2 pickle whose arrays are partly wrapped in chumpy and scipy objects; its landmark file holds
torch tensors. A pickle can name any function of any installed package and call it, so here every name it may use stands
for one of the inert classes below, which only keep what they are given; any other name ends the reading. No numpy,
scipy, chumpy or torch object is made before the whole file has been read.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any, BinaryIO, ClassVar

import numpy as np
import torch

from models.errors import BadWeights

LARGEST_FILE = 1 << 30
MOST_PARTS = 200_000
UNREADABLE = (
    pickle.UnpicklingError,
    struct.error,
    EOFError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    AssertionError,
    MemoryError,
    RecursionError,
    ImportError,
)
"""What Python's reader raises on damaged files; it has no error of its own for them."""


Plain = Callable[[Any], Any]
"""Turns what a stand-in holds into data."""


class _Inert:
    """Keeps arguments and state; `value` turns them into plain data afterwards."""

    __slots__ = ("arguments", "state")

    def __new__(cls, *arguments: Any) -> _Inert:
        made = super().__new__(cls)
        made.arguments, made.state = arguments, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self, plain: Plain) -> Any:
        raise BadWeights(f"the pickle uses {type(self).__name__.strip('_')} where a number or an array is expected")


class _Nothing(_Inert):
    """A name that is only mentioned: object, ndarray, an empty OrderedDict."""


class _NumberType(_Inert):
    """numpy.dtype: plain numbers only, or "O" for a list of already read objects."""

    def value(self, plain: Plain) -> np.dtype[Any] | None:
        code = _text(self.arguments[0])
        order = _text(self.state[1]) if isinstance(self.state, tuple) and len(self.state) > 1 else "<"
        if code.lstrip("<>|=") in {"O", "O8", "O4"}:
            return None
        kind = np.dtype({"<": "<", ">": ">", "|": "|", "=": "<"}.get(order, "<") + code.lstrip("<>|="))
        if kind.kind not in "fiub" or kind.itemsize > 16:
            raise BadWeights(f"the pickle holds an array of {kind}, not of plain numbers")
        return kind


class _Array(_Inert):
    """numpy.ndarray, as its pickles rebuild it: (version, shape, dtype, column-major, bytes or list)."""

    def value(self, plain: Plain) -> Any:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise BadWeights("the pickle holds an array without its numbers")
        _, shape, kind, column_major, data = self.state
        return _shaped(data, kind, shape, order="F" if column_major else "C", plain=plain)


class _BufferArray(_Inert):
    """numpy.ndarray as newer pickles rebuild it: (bytes, dtype, shape, order)."""

    def value(self, plain: Plain) -> Any:
        data, kind, shape, order = self.arguments
        return _shaped(data, kind, shape, order=order, plain=plain)


class _Scalar(_Inert):
    """One numpy number."""

    def value(self, plain: Plain) -> Any:
        kind, data = self.arguments
        return _shaped(data, kind, (), order="C", plain=plain)[()]


class _Bytes(_Inert):
    """_codecs.encode, which Python 3 uses to put bytes into old pickles."""

    def value(self, plain: Plain) -> bytes:
        return _bytes(self.arguments[0])


class _Rebuilt(_Inert):
    """copy_reg._reconstructor: makes the object that its first argument names."""

    def __new__(cls, *arguments: Any) -> _Inert:
        kind = arguments[0] if arguments else None
        if not (isinstance(kind, type) and issubclass(kind, (_Chumpy, _Sparse))):
            raise BadWeights("the pickle rebuilds an object of an unknown kind")
        return kind()


class _Chumpy(_Inert):
    """Any chumpy object; the array it was made from is its `x`."""

    def value(self, plain: Plain) -> Any:
        if not isinstance(self.state, dict) or "x" not in self.state:
            raise BadWeights("the pickle holds a chumpy expression instead of a stored array")
        return plain(self.state["x"])


class _Sparse(_Inert):
    """scipy's compressed sparse matrices; becomes a dense array."""

    is_by_column = True

    def value(self, plain: Plain) -> Any:
        state = plain(self.state)
        if not isinstance(state, dict):
            raise BadWeights("the pickle holds a sparse matrix without its numbers")
        shape = state.get("_shape", state.get("shape"))
        data, indices, starts = (np.asarray(state.get(name)) for name in ("data", "indices", "indptr"))
        return _dense(data, indices, starts, shape=shape, is_by_column=self.is_by_column)


class _SparseByRow(_Sparse):
    is_by_column = False


class _Storage(_Inert):
    """The numbers of a torch tensor, as a nested torch file."""

    def value(self, plain: Plain) -> torch.Tensor:
        try:
            loaded = torch.load(io.BytesIO(_bytes(self.arguments[0])), map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
            raise BadWeights("the pickle holds a torch tensor that cannot be read") from error
        if not isinstance(loaded, torch.storage.TypedStorage):
            raise BadWeights("the pickle holds a torch tensor without its numbers")
        return torch.empty(0, dtype=loaded.dtype).set_(loaded._untyped_storage)


class _Tensor(_Inert):
    """A torch tensor; becomes a numpy array."""

    def value(self, plain: Plain) -> Any:
        storage, offset, size, stride = self.arguments[:4]
        flat = storage.value(plain)
        last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
        if offset < 0 or min(stride, default=0) < 0 or min(size, default=1) < 1 or last >= len(flat):
            raise BadWeights("the pickle holds a torch tensor that reaches beyond its numbers")
        return flat.as_strided(tuple(size), tuple(stride), offset).numpy().copy()


NAMES: dict[tuple[str, str], type[_Inert]] = {
    ("numpy", "ndarray"): _Nothing,
    ("numpy", "dtype"): _NumberType,
    ("__builtin__", "object"): _Nothing,
    ("builtins", "object"): _Nothing,
    ("collections", "OrderedDict"): _Nothing,
    ("_codecs", "encode"): _Bytes,
    ("copy_reg", "_reconstructor"): _Rebuilt,
    ("copyreg", "_reconstructor"): _Rebuilt,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch.storage", "_load_from_bytes"): _Storage,
}
for _core in ("numpy.core", "numpy._core"):
    NAMES[f"{_core}.multiarray", "_reconstruct"] = _Array
    NAMES[f"{_core}.multiarray", "scalar"] = _Scalar
    NAMES[f"{_core}.numeric", "_frombuffer"] = _BufferArray
SPARSE: dict[str, type[_Sparse]] = {
    "csc_matrix": _Sparse,
    "csc_array": _Sparse,
    "csr_matrix": _SparseByRow,
    "csr_array": _SparseByRow,
}


class _Reader(pickle._Unpickler):  # the one in Python: its memo is a dict, so a forged index cannot claim memory
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def load_bytearray8(self) -> None:
        """Read what is there: the original sets aside as much memory as the file claims to need."""
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytes(self.read(min(length, LARGEST_FILE))))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def find_class(self, module: str, name: str) -> type[_Inert]:
        if (module, name) in NAMES:
            return NAMES[module, name]
        package = module.split(".")[0]
        if package == "scipy" and module.startswith("scipy.sparse") and name in SPARSE:
            return SPARSE[name]
        if package == "chumpy" and name.isidentifier():
            return _Chumpy
        raise BadWeights(f"the pickle asks for {module}.{name}, which a face model has no use for; it was not read")

    def persistent_load(self, identity: Any) -> Any:
        raise BadWeights("the pickle refers to data outside itself")

    def get_extension(self, code: int) -> Any:
        raise BadWeights("the pickle uses a registered extension")


def read_pickle(file: BinaryIO) -> Any:
    """Return what a pickle holds as dicts, lists, tuples, numbers, text and numpy arrays; raises BadWeights."""
    data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise BadWeights(f"the file is larger than {LARGEST_FILE >> 20} MB; a face model is smaller")
    try:
        return _Walk().plain(_Reader(io.BytesIO(data), encoding="latin1").load())
    except BadWeights:
        raise
    except UNREADABLE as error:
        raise BadWeights(f"the pickle cannot be read: {type(error).__name__} {error}") from error


class _Walk:
    """Turns stand-ins into data, through dicts, lists and tuples, and gives up on endless or exploding nesting."""

    def __init__(self) -> None:
        self.parts_left = MOST_PARTS

    def plain(self, value: Any) -> Any:
        self.parts_left -= 1
        if self.parts_left < 0:
            raise BadWeights("the pickle holds more parts than a face model has")
        match value:
            case _Inert():
                return value.value(self.plain)
            case dict():
                return {self.plain(key): self.plain(part) for key, part in value.items()}
            case list() | tuple():
                return type(value)(self.plain(part) for part in value)
            case type():
                raise BadWeights("the pickle holds a class where data is expected")
        return value


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> bytes:
    value = value.arguments[0] if isinstance(value, _Bytes) else value
    if isinstance(value, str):
        return value.encode("latin1")
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    raise BadWeights("the pickle holds an array without its numbers")


def _shaped(data: Any, kind: Any, shape: Any, *, order: str, plain: Plain) -> Any:
    number_type = kind.value(plain) if isinstance(kind, _NumberType) else None
    shape = tuple(int(count) for count in plain(shape))
    if number_type is None:
        if not isinstance(data, list) or shape not in {(), (len(data),)}:
            raise BadWeights("the pickle holds an array of objects")
        parts = plain(data)
        return parts[0] if shape == () and len(parts) == 1 else parts
    flat = np.frombuffer(_bytes(data), number_type)
    if min(shape, default=0) < 0 or flat.size != int(np.prod(shape, dtype=np.int64)):
        raise BadWeights(f"the pickle holds an array of shape {shape} with {flat.size} numbers")
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _dense(data: Any, indices: Any, starts: Any, *, shape: Any, is_by_column: bool) -> np.ndarray:
    if not isinstance(shape, tuple) or len(shape) != 2 or int(shape[0]) * int(shape[1]) > LARGEST_FILE // 8:
        raise BadWeights(f"the pickle holds a sparse matrix of shape {shape}")
    rows, columns = (int(count) for count in shape)
    outer, inner = (columns, rows) if is_by_column else (rows, columns)
    fits = starts.shape == (outer + 1,) and indices.shape == data.shape == (int(starts[-1]),) and starts[0] == 0
    lengths = np.diff(starts)
    if not fits or (lengths < 0).any() or (data.size and not 0 <= indices.min() <= indices.max() < inner):
        raise BadWeights("the pickle holds a sparse matrix whose indices do not fit")
    dense = np.zeros((outer, inner))
    np.add.at(dense, (np.repeat(np.arange(outer), lengths), indices), data)
    return dense.T if is_by_column else dense
