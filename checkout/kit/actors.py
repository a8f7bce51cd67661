"""Who did it? Every verb is told; the words end up in audit rows, so they must still make sense in a year."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Somebody or something that acts: `user:ana`, `key:sk_test_Ab12…`, `task:run_due`, `gateway:north`."""

    kind: str
    name: str
    address: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def user(cls, username: str, address: str = "") -> "Actor":
        """A person in the admin, with the network address they came from."""
        return cls("user", username, address)

    @classmethod
    def key(cls, prefix: str, address: str = "") -> "Actor":
        """A merchant's software, named by the searchable prefix of its API key."""
        return cls("key", prefix, address)

    @classmethod
    def task(cls, name: str) -> "Actor":
        """A background task of the platform."""
        return cls("task", name)

    @classmethod
    def command(cls, name: str) -> "Actor":
        """A management command run by whoever has the machine."""
        return cls("command", name)

    @classmethod
    def gateway(cls, code: str) -> "Actor":
        """A gateway, speaking to us by a notice."""
        return cls("gateway", code)
