"""The tasks, one file each: its Params, its model in training, its TASK."""

import core as core  # before PyTorch: it settles how threads wait
