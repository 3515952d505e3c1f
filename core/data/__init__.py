"""Image data: found, decoded once, split by file-name hash."""
