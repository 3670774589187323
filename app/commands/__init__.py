"""The subcommands of `cloze`, one module a topic. Heavy imports wait until a command needs them."""
