"""Whit's exporter: trained models in, .whit files out. The public way in is `whit.convert`."""

from .convert import convert
from .errors import ConvertError

__all__ = ["ConvertError", "convert"]
