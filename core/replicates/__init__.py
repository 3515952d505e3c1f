"""The same point again: other seeds, less data, more epochs; and what that says."""
