"""The tasks, one file each: its Params, its model in training, its TASK."""

import gc

import core as core  # before PyTorch: it settles how threads wait

# Imports make a million objects and no garbage; a trial's own is collected when it has ended.
gc.set_threshold(50_000)
