"""Make the demo merchant, gateways, regions and people; what is there already stays."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from payments.demo import seed


class Command(BaseCommand):
    """`manage.py seed_demo`: prints one JSON object with the logins and, when it is new, the API key."""

    help = "Fill an empty platform with what a first look needs."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(seed()))
