"""Named streams with everything that a fair comparison must hold fixed: network, optimiser, steps."""

from tladapt.scenarios.splits import by_class

__all__ = ["by_class"]
