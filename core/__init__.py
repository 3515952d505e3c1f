"""The parts every GAN trial shares. Start reading at `core.task`, then `core.run`."""

__version__ = "0.1.0"
