from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class AccessConfig(AppConfig):
    name = "checkout.kit.access"
    label = "access"
    verbose_name = "Access"

    def ready(self) -> None:
        from axes.signals import user_locked_out

        from checkout.kit.access.lockout import tell
        from checkout.kit.access.sessions import begin

        user_logged_in.connect(begin, dispatch_uid="access.begin")
        user_locked_out.connect(tell, dispatch_uid="access.tell")
