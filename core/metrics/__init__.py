"""What evaluators are made of: classifiers trained on a data set, and measures of likeness."""
