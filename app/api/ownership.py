"""Ownership of jobs, files and models: the part of them that the caller of a request may see and change."""

from dataclasses import dataclass

from starlette.types import Scope

from app.access.keys import Caller
from app.api.middleware.api_keys import caller_of
from app.errors import Forbidden
from app.jobs.viewer import EVERYONE, Viewer
from app.store.store import Entries, ModelStore


def viewer_of(scope: Scope) -> Viewer:
    """Returns whose jobs and files a request sees: all of them for operators, admins and servers without keys."""
    caller = caller_of(scope)
    if caller is None or caller.owner is None:
        return EVERYONE
    limits = caller.limits
    return Viewer(caller.owner, caller.is_admin, limits.jobs or 0, limits.storage_bytes or 0)


@dataclass(frozen=True)
class ModelRights:
    """Tells which models a caller may replace, alias and delete. Every caller may use all models.

    caller: None on a server without keys.
    """

    caller: Caller | None
    store: ModelStore

    def check_publication(self, name: str | None, param: str = "name") -> None:
        """Raises Forbidden for the name of a model that is not the caller's own. New names are free."""
        if name is not None:
            self.check_change(self.store.versions(name), param)

    def check_change(self, entries: Entries, param: str = "model") -> None:
        """Raises Forbidden for versions that are not the caller's own."""
        if self.caller is None or self.caller.is_admin:
            return
        other = next((entry for entry in entries if entry.manifest.owner != self.caller.owner), None)
        if other is not None:
            raise Forbidden(
                f"the model {other.name!r} belongs to another API key: only that key and admins may change it",
                param=param,
            )
