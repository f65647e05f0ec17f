"""Exchange with ONNX: `to_onnx`, `from_onnx`, and converters for users of skl2onnx.

Importing this package needs the onnx library: ``pip install onnx``.
"""

from __future__ import annotations

try:
    import onnx as _onnx  # noqa: F401
except ImportError as error:
    raise ImportError("fastnet.onnx needs the onnx library, which is not installed: pip install onnx") from error

from fastnet.onnx._export import to_onnx
from fastnet.onnx._import import from_onnx
from fastnet.onnx._skl2onnx import register_skl2onnx

__all__ = ["from_onnx", "register_skl2onnx", "to_onnx"]
