"""What Whit raises: a sentence for people, and fields for programs."""

from __future__ import annotations


class WhitError(Exception):
    """Anything that went wrong in Whit. Fields that say nothing about this error are None (names: "")."""

    def __init__(
        self,
        message: str,
        *,
        node: str = "",
        operator: str = "",
        opset: int | None = None,
        offset: int | None = None,
        status: int | None = None,
    ) -> None:
        what = operator
        if operator and opset:
            what = f"{operator}, opset {opset}"
        where = f"node {node!r} " if node else ""
        if what:
            where += f"({what})"
        super().__init__(f"{where.rstrip()}: {message}" if where else message)
        self.message = message
        self.node = node
        """Name of the source model's node."""
        self.operator = operator
        self.opset = opset
        self.offset = offset
        """Byte of the .whit file that is wrong."""
        self.status = status
        """The whit_status of the C runtime."""


class ConvertError(WhitError):
    """A model that cannot be converted: which node and operator, what was expected, what to try."""


class LoadError(WhitError):
    """A file that is no .whit file, is damaged, or needs a newer runtime."""


class LibraryError(LoadError, ImportError):
    """The C library is not there, or does not load."""


class RunError(WhitError):
    """Inputs that do not fit the model, or a run that met a value or shape it cannot work with."""
