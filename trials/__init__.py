"""The tasks, one file each: its Params, its model in training, its TASK."""
