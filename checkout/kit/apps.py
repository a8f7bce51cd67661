from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

from checkout.kit.roles import seed_roles


class KitConfig(AppConfig):
    name = "checkout.kit"
    label = "kit"
    verbose_name = "People and audit"

    def ready(self) -> None:
        from checkout.kit.watched import watch_tables

        post_migrate.connect(watch_tables, sender=self)
        *_, last = (app for app in apps.get_app_configs() if app.models_module)
        post_migrate.connect(seed_roles, sender=last)
