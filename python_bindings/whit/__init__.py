"""Whit: trained models in a tiny runtime that runs only what the input needs.

import whit
whit.convert("model.onnx", "model.whit")      # needs whit[export]
model = whit.load("model.whit")               # needs NumPy only
y = model(x)                                  # arrays by position
out = model.run({"x": x}, tap="encoder/*")    # by name, with values of the source model
z = whit.ops.conv(x, w, b, strides=2)         # one operator on arrays
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from . import _native, ops
from .errors import ConvertError, LoadError, RunError, WhitError
from .model import Entry, Model, Port, load

if TYPE_CHECKING:
    import onnx

__version__ = "0.1.0"
__all__ = [
    "ConvertError", "Entry", "LoadError", "Model", "Port", "RunError", "WhitError", "convert", "load", "ops",
]  # fmt: skip

# The library comes with the module, so that the first model does not wait for it; what is wrong with it is told when it is used.
with contextlib.suppress(WhitError):
    _native.lib()
    _native.bare_lib()
    _native.platform_lib()
    _native.cpu_features()


def convert(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    output: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Any:
    """Converts an ONNX model (a path, bytes or an onnx.ModelProto) to a .whit file.

    Writes output and returns its path, or returns the bytes if output is None. Options: state={input: output}
    keeps a value from run to run; strip=True drops debug names; optimize="memory", "balanced" or "speed";
    check=True verifies between passes; dump_after="PASS" prints the program. Raises ConvertError.
    """
    try:
        from whit_exporter import convert as run
    except ImportError as e:
        if e.name not in (
            "onnx",
            "flatbuffers",
            "ml_dtypes",
            "whit_exporter",
            "google",
            "google.protobuf",
        ):
            raise
        raise ConvertError(f"converting needs {e.name}: pip install 'whit[export]'") from None
    return run(model, output, **options)
