from django.apps import AppConfig
from django.db.models.signals import post_migrate

from checkout.kit.roles import seed_roles


class KitConfig(AppConfig):
    name = "checkout.kit"
    label = "kit"
    verbose_name = "People and audit"

    def ready(self) -> None:
        from checkout.kit.watched import watch_tables

        post_migrate.connect(watch_tables, sender=self)
        post_migrate.connect(seed_roles, sender=self)
