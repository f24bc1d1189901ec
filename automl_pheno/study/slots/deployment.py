"""What starts and ends the workers, where they are ours: processes here, or jobs of a batch system."""

from __future__ import annotations

from typing import Protocol


class Deployment(Protocol):
    """Starts the workers, where they are ours."""

    def replace_dead(self) -> None:
        """Start workers anew that should be there and are not."""
        ...

    def kill(self, name: str) -> bool:
        """End a worker that may hang, and its nanny, at once; False if that cannot be done from here."""
        ...

    def close(self, timeout: float | None = None) -> None:
        """End all workers and the scheduler."""
        ...


class Elastic(Deployment, Protocol):
    """A deployment whose size follows the work."""

    lifetime: float
    """Seconds after which a worker leaves in good order."""

    def expect(self, tasks: int, idle: list[str]) -> None:
        """Have a worker for each of `tasks`, within its bounds; `idle` names workers that may go."""
        ...

    def waiting(self) -> str:
        """Return what is to be said while no worker is there."""
        ...
