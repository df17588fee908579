"""Methods side by side on one scenario."""

from tladapt.comparison.comparing import compare
from tladapt.comparison.result import Comparison

__all__ = ["Comparison", "compare"]
