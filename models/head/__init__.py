"""The open head: our own face model, free to use and to pass on."""

from models.head.head import Head, load_head

__all__ = ["Head", "load_head"]
