from _package import on_host

__all__ = ["on_host"]
