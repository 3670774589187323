"""The progress of an import, as whoever runs it wants to hear of it."""


class ImportProgress:
    """Hears how an import goes, and ignores it. A subclass that raises an exception ends the import."""

    def begin(self, step: str) -> None:
        """Hears what begins now, as a phrase such as "Checking the model"."""

    def transfer(self, done: int, total: int) -> None:
        """Hears how many bytes of the current step are done. May be called by any thread."""
