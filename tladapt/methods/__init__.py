"""The methods, one per file. Each is a term of the objective; any of them add up."""

from tladapt.method import Method
from tladapt.methods.adapter import Adapter
from tladapt.methods.bitfit import BitFit
from tladapt.methods.bss import BSS
from tladapt.methods.coral import CORAL
from tladapt.methods.dann import DANN
from tladapt.methods.earlystopping import EarlyStopping
from tladapt.methods.ewc import EWC
from tladapt.methods.gradualunfreezing import GradualUnfreezing
from tladapt.methods.l2sp import L2SP
from tladapt.methods.layerwiserate import LayerwiseRate
from tladapt.methods.linearprobe import LinearProbe
from tladapt.methods.lora import LoRA
from tladapt.methods.lpft import LPFT
from tladapt.methods.lwf import LwF
from tladapt.methods.mmd import MMD
from tladapt.methods.replay import Replay
from tladapt.methods.vicreg import VICReg
from tladapt.methods.wiseft import WiSEFT

__all__ = [
    "BSS", "CORAL", "DANN", "EWC", "L2SP", "LPFT", "MMD", "Adapter", "BitFit", "EarlyStopping", "GradualUnfreezing",
    "LayerwiseRate", "LinearProbe", "LoRA", "LwF", "Method", "Replay", "VICReg", "WiSEFT",
]  # fmt: skip
