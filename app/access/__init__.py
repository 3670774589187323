"""Access control: API keys, their scopes and limits, and the log of changes. Knows no HTTP."""
