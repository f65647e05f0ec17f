"""Saving and loading of networks and fitted estimators: safetensors files, no pickle.

A file's header holds one JSON text under the key `fastnet`: the format version, what is saved, dtype, architecture and, for
estimators, parameters, class labels and feature names. docs/files.md describes the format.
"""

from __future__ import annotations

from fastnet.persistence._format import FORMAT_VERSION
from fastnet.persistence._load import load
from fastnet.persistence._save import save

__all__ = ["FORMAT_VERSION", "load", "save"]
