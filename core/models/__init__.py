"""What trials train: networks, losses, optimisers, and models in training."""
