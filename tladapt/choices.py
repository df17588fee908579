"""The values that some arguments choose from; nothing is imported, so that the command line knows them at once."""

BATCHNORM = ("joint", "per-domain", "frozen")  # which statistics a BatchNorm layer normalises with
INCREMENTS = ("domain", "class", "task")  # what a stage adds
PRECISIONS = ("float32", "bfloat16")  # of the layers
REMEMBERED = ("nothing", "statistics", "outputs", "samples")  # what a method keeps of the data, from least to most
