"""What `gantune` can do, a command a file: SUMMARY, `add_flags(parser, argv)` and `run(arguments)`.

`run` returns the exit status: 0 done, 1 failed; a user's mistake is a UserError, an interruption
`core.training.signals.Interrupted`.
"""
