"""Who is asking, at the desk?"""

from django.http import HttpRequest

from checkout.kit.actors import Actor
from checkout.kit.models import User


def actor_of(request: HttpRequest) -> Actor:
    """The person at the desk, with the address they came from."""
    return Actor.user(request.user.get_username(), request.META.get("REMOTE_ADDR", ""))


def person_of(actor: Actor) -> User:
    """The account of somebody at the desk."""
    return User.objects.get(username=actor.name)


def user_of(request: HttpRequest) -> User:
    """The person at the desk; the site lets nobody else in."""
    assert isinstance(request.user, User)
    return request.user
