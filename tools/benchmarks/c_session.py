"""A SavedModel in TensorFlow's C library, as servers run it: without Python's half of TensorFlow.

Importing TensorFlow takes more memory than D0 (docs/speed.md). TensorFlow Serving and whatever
else loads the library itself do not import it; nor does this, which finds the library in the
installed wheel and calls the functions of tensorflow/c/c_api.h that loading and running take.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p

import numpy as np

_DTYPES = {1: np.float32, 3: np.int32, 4: np.uint8}  # by TF_DataType, as far as networks need them


class _Place(ctypes.Structure):
    """TF_Output: an operation of a graph, and which of its results."""

    _fields_ = (("operation", c_void_p), ("index", c_int))


_SIGNATURES = {  # result, arguments
    "TF_NewStatus": (c_void_p, ()),
    "TF_GetCode": (c_int, (c_void_p,)),
    "TF_Message": (c_char_p, (c_void_p,)),
    "TF_NewGraph": (c_void_p, ()),
    "TF_NewSessionOptions": (c_void_p, ()),
    "TF_SetConfig": (None, (c_void_p, c_char_p, c_size_t, c_void_p)),
    "TF_LoadSessionFromSavedModel": (
        c_void_p,
        (c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int, c_void_p, c_void_p, c_void_p),
    ),
    "TF_GraphOperationByName": (c_void_p, (c_void_p, c_char_p)),
    "TF_GraphGetTensorNumDims": (c_int, (c_void_p, _Place, c_void_p)),
    "TF_GraphGetTensorShape": (None, (c_void_p, _Place, POINTER(c_int64), c_int, c_void_p)),
    "TF_AllocateTensor": (c_void_p, (c_int, POINTER(c_int64), c_int, c_size_t)),
    "TF_DeleteTensor": (None, (c_void_p,)),
    "TF_TensorType": (c_int, (c_void_p,)),
    "TF_TensorData": (c_void_p, (c_void_p,)),
    "TF_NumDims": (c_int, (c_void_p,)),
    "TF_Dim": (c_int64, (c_void_p, c_int)),
    "TF_SessionRun": (
        None,
        (
            c_void_p, c_void_p, POINTER(_Place), POINTER(c_void_p), c_int, POINTER(_Place),
            POINTER(c_void_p), c_int, c_void_p, c_int, c_void_p, c_void_p,
        ),
    ),
}  # fmt: skip


class CSession:
    """A function of one tensor in a SavedModel.

    Args:
      folder: of the SavedModel.
      given, taken: the tensors of the input and of the outputs, such as "raw_images:0".
      threads: of an operation, and operations at once.

    Attributes:
      shape: of the input; -1 where it is open.

    Raises:
      RuntimeError: with TensorFlow's own words.
    """

    def __init__(self, folder: str, given: str, taken: Sequence[str], threads: int):
        home = os.path.dirname(importlib.util.find_spec("tensorflow").origin)
        self._library = ctypes.CDLL(os.path.join(home, "libtensorflow_cc.so.2"))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        library, self._status = self._library, self._library.TF_NewStatus()
        options, graph = library.TF_NewSessionOptions(), library.TF_NewGraph()
        config = bytes([2 << 3, threads, 5 << 3, threads])  # ConfigProto: threads within, between
        library.TF_SetConfig(options, config, len(config), self._status)
        self._check()
        self._session = library.TF_LoadSessionFromSavedModel(
            options, None, folder.encode(), (c_char_p * 1)(b"serve"), 1, graph, None, self._status
        )
        self._check()
        self._input, *outputs = (
            _Place(library.TF_GraphOperationByName(graph, name.encode()), int(index))
            for name, index in (tensor.split(":") for tensor in (given, *taken))
        )
        self._outputs = (_Place * len(outputs))(*outputs)
        shape = (c_int64 * library.TF_GraphGetTensorNumDims(graph, self._input, self._status))()
        library.TF_GraphGetTensorShape(graph, self._input, shape, len(shape), self._status)
        self._check()
        self.shape = tuple(shape)

    def __call__(self, value: np.ndarray) -> list[np.ndarray]:
        """Returns the outputs, in their order."""
        library = self._library
        (kind,) = (number for number, dtype in _DTYPES.items() if dtype == value.dtype)
        shape = (c_int64 * value.ndim)(*value.shape)
        tensor = library.TF_AllocateTensor(kind, shape, value.ndim, value.nbytes)
        ctypes.memmove(library.TF_TensorData(tensor), value.ctypes.data, value.nbytes)
        results = (c_void_p * len(self._outputs))()
        library.TF_SessionRun(
            self._session, None, self._input, (c_void_p * 1)(tensor), 1, self._outputs, results,
            len(self._outputs), None, 0, None, self._status,
        )  # fmt: skip
        library.TF_DeleteTensor(tensor)
        self._check()
        return [self._taken(result) for result in results]

    def _taken(self, tensor: int) -> np.ndarray:
        library = self._library
        shape = [library.TF_Dim(tensor, k) for k in range(library.TF_NumDims(tensor))]
        array = np.empty(shape, _DTYPES[library.TF_TensorType(tensor)])
        ctypes.memmove(array.ctypes.data, library.TF_TensorData(tensor), array.nbytes)
        library.TF_DeleteTensor(tensor)
        return array

    def _check(self) -> None:
        if self._library.TF_GetCode(self._status):
            raise RuntimeError(self._library.TF_Message(self._status).decode())
