"""Label shift: whether a target without labels has its classes in other proportions than the source."""

from tladapt.labelshift.proportions import bbse, em
from tladapt.labelshift.shift import LabelShift, alarms, label_shift, label_shifts, mean_of, stored, too_many_classes

__all__ = ["LabelShift", "alarms", "bbse", "em", "label_shift", "label_shifts", "mean_of", "stored", "too_many_classes"]
