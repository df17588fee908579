"""Named streams with everything that a fair comparison must hold fixed: network, optimiser, steps."""

from tladapt.scenarios.baselines import from_scratch, joint, source_only
from tladapt.scenarios.handwriting import digits, picture, slant, split_digits
from tladapt.scenarios.scenario import Scenario
from tladapt.scenarios.splits import by_class

__all__ = [
    "SCENARIOS", "Scenario", "by_class", "digits", "from_scratch", "joint", "picture", "slant", "source_only",
    "split_digits",
]  # fmt: skip

SCENARIOS = {"digits": digits, "split-digits": split_digits}
