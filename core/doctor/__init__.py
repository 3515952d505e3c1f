"""What `gantune doctor` looks at, one file a subject. Checks return findings and change nothing."""
