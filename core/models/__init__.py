"""Network architectures: `nn.Module`s and nothing else."""
