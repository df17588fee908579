"""The methods, one per file. Each is a term of the objective; any of them add up."""

from tladapt.method import Method
from tladapt.methods.coral import CORAL
from tladapt.methods.dann import DANN
from tladapt.methods.ewc import EWC
from tladapt.methods.lwf import LwF
from tladapt.methods.mmd import MMD
from tladapt.methods.replay import Replay

__all__ = ["CORAL", "DANN", "EWC", "MMD", "LwF", "Method", "Replay"]
