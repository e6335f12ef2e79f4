"""Write pickles as Python 2 wrote them, with chumpy objects, for files laid out like FLAME's."""

import io
import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
import scipy.sparse

from models.smirk import rule_face


class Python2Pickler(pickle._Pickler):
    """Protocol 2 with byte strings, which is what text and numbers were."""

    dispatch: ClassVar[dict[type, object]] = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)
        if id(value) not in self.memo:  # short byte strings are shared between texts
            self.memoize(value)

    def save_text(self, value: str) -> None:
        self.save_bytes(value.encode("latin1"))

    dispatch[bytes] = save_bytes
    dispatch[str] = save_text


@contextmanager
def chumpy() -> Iterator[type]:
    """A class that pickles like chumpy's arrays."""
    module = types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, array: np.ndarray) -> None:
            self.x, self._dirty_vars, self._status = array, None, "new"

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch  # type: ignore[attr-defined]
    sys.modules["chumpy"], sys.modules["chumpy.ch"] = types.ModuleType("chumpy"), module
    try:
        yield Ch
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]


def python2_pickle(content: object) -> bytes:
    """Pickle with numpy's old module names."""
    file = io.BytesIO()
    Python2Pickler(file, protocol=2, fix_imports=True).dump(content)
    return (
        file.getvalue()
        .replace(b"cnumpy._core.", b"cnumpy.core.")
        .replace(b"cscipy.sparse._csc\n", b"cscipy.sparse.csc\n")
    )


def flame_content(seed: str, wrap: type) -> dict[str, object]:
    """A table with the names, shapes and wrappers of FLAME's pickle, filled by rule."""
    arrays = rule_face.face_arrays(seed)
    return {
        "f": arrays.triangles.astype(np.uint32),
        "v_template": wrap(arrays.template),
        "shapedirs": wrap(np.concatenate((arrays.shape_basis, arrays.expression_basis), axis=2)),
        "posedirs": np.asfortranarray(arrays.pose_basis),
        "J_regressor": scipy.sparse.csc_matrix(arrays.joint_regressor),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "weights": arrays.skinning,
        "J": np.zeros((5, 3)),
        "bs_type": "lrotmin",
        "bs_style": "lbs",
    }
