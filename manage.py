#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "checkout.settings.local")
    if "migrate" in sys.argv[1:2]:
        os.environ["PROCESS_ROLE"] = "migrate"  # whoever starts it, and whatever .env says of the others
    execute_from_command_line(sys.argv)
