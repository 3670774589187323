"""The interface through which an import reports its progress."""


class ImportProgress:
    """Receives the progress of an import and ignores it. A subclass that raises an exception ends the import."""

    def begin(self, step: str) -> None:
        """Receives the name of the step that begins, such as "Checking the model"."""

    def transfer(self, done: int, total: int) -> None:
        """Receives how many bytes of the current step are done. May be called by any thread."""
