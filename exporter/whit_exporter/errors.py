"""What conversion says when it cannot go on. The class is whit's own, so that users catch one family."""

from __future__ import annotations

from whit.errors import ConvertError

__all__ = ["ConvertError"]
