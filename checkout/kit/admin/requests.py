"""Who is asking, at the desk?"""

from django.http import HttpRequest

from checkout.kit.acting import actor_of
from checkout.kit.actors import Actor
from checkout.kit.models import User

__all__ = ["actor_of", "person_of", "user_of"]


def person_of(actor: Actor) -> User:
    """The account of somebody at the desk."""
    return User.objects.get(username=actor.name)


def user_of(request: HttpRequest) -> User:
    """The person at the desk; the site lets nobody else in."""
    assert isinstance(request.user, User)
    return request.user
