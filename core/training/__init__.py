"""Models in training that several trials share; a trial adds its data and its defaults."""
