"""How does the whole platform come up on one machine? PostgreSQL, Redis and our own processes, from Python alone.

Nothing here imports Django or the rest of the project: what it starts are separate processes.
"""

from checkout.launch.errors import LaunchError
from checkout.launch.platform import Platform
from checkout.launch.services import Services

__all__ = ["LaunchError", "Platform", "Services"]
