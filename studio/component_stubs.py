"""Keep Gradio from writing a .pyi file beside every component class it meets, its own and ours.

An installed package must not change its own files, and may not be able to; reading its sources to do so takes a
quarter of the start.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

META = "gradio.component_meta"


def _leave_sources_alone(*_: object) -> None:
    """Stand in for the function that writes them."""


def _quieten(module: ModuleType) -> None:
    module.create_or_modify_pyi = _leave_sources_alone  # type: ignore[attr-defined]


class _QuietLoader(Loader):
    """Load the module as ever, then replace that one function."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        _quieten(module)


class _QuietFinder(MetaPathFinder):
    """Find that one module and nothing else."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != META:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _QuietLoader(spec.loader)
        return spec


def write_none() -> None:
    """Do so for a Gradio that is imported later, or that was imported before."""
    if META in sys.modules:
        _quieten(sys.modules[META])
    elif not any(isinstance(finder, _QuietFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietFinder())
