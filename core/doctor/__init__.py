"""What `gantune doctor` looks at, a subject a file; every check returns findings, none mends."""
