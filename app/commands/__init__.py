"""The subcommands of `cloze`, one module per topic. Heavy modules are imported when a command needs them."""
