"""The files of the page, read once into memory: a request cannot name any other file."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

_TYPES: Mapping[str, str] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
"""The content types; `mimetypes` would read those of the machine, which may be wrong."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page."""

    content: bytes
    compressed: bytes
    content_type: str
    etag: str


def assets() -> Mapping[str, Asset]:
    """Return all files of the page, by name."""
    found = {}
    for file in files("stbridge.web").joinpath("static").iterdir():
        extension = file.name.rpartition(".")[2]
        if extension in _TYPES:
            content = file.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found[file.name] = Asset(content, gzip.compress(content, mtime=0), _TYPES[extension], etag)
    return found
