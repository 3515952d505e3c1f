"""The subcommands of `gantune`, one a file: `add_flags(parser, argv)` and `run(arguments)`.

`run` returns the exit status: 0 done, 1 failed; a user's mistake is a UserError, an interruption
`core.training.signals.Interrupted`. The command line's summaries are in `core.cli`.
"""
