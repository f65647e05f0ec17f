"""The description of a fastnet file: the JSON text under the metadata key `fastnet`."""

from __future__ import annotations

from reprlib import repr as short
from typing import Any

from fastnet.persistence import _json

FORMAT_VERSION = 2
KEY = "fastnet"


def dump(kind: str, content: dict[str, Any]) -> dict[str, str]:
    """Return the metadata of a file that holds `content`, of the given kind."""
    from fastnet import __version__

    return {KEY: _json.dumps({"format": FORMAT_VERSION, "version": __version__, "kind": kind, **content})}


def parse(metadata: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the kind and the content that a file's metadata describe.

    Raises
    ------
    ValueError
        The file is not one of fastnet's, has a later format, or is broken.
    """
    if KEY not in metadata:
        raise ValueError(
            "a safetensors file, but not one of fastnet's: its metadata has no 'fastnet' entry. "
            "For weights of a torch nn.Sequential see fastnet.torch.from_torch_state_dict"
        )
    content = _json.loads(metadata[KEY], "the file's description")
    if not isinstance(content, dict):
        raise ValueError("broken file: its description is not a JSON object")
    version, kind = content.get("format"), content.get("kind")
    if type(version) is not int or version < 1:
        raise ValueError(f"broken file: its format version is {short(version)}, expected a positive integer")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"written by fastnet {short(content.get('version'))} in format {short(version)}, this version reads formats up to "
            f"{FORMAT_VERSION}: upgrade fastnet"
        )
    if not isinstance(kind, str):
        raise ValueError(f"broken file: its kind is {short(kind)}, expected a string")
    return kind, content
