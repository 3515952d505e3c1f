"""The engines: search spaces, Optuna's studies, samplers and workers, NNI's trial and tuner."""
