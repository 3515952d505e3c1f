"""The parts every GAN trial shares. Start reading at `core.task`, then `core.training.run`."""

import os

__version__ = "0.1.0"

# Threads that wait for work by spinning starve the machine's other trials. PyTorch reads it at its
# import, which comes after this one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
