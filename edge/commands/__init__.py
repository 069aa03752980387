"""The subcommands of `edge-inspect` other than `run`."""
