"""Who needs a second factor? Whoever may do more than look."""

from django.contrib.auth.models import AnonymousUser

from checkout.kit.models import User


def needs_second_factor(user: User | AnonymousUser) -> bool:
    """Whether the policy asks this person for one: everybody with a permission that is not one to view.

    So whatever moves money or changes keys, configuration or people is covered, and what is invented later as well.
    """
    if not user.is_active:
        return False
    names = (permission.partition(".")[2] for permission in user.get_all_permissions())
    return user.is_superuser or not all(name.startswith("view_") for name in names)
