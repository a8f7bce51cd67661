"""Do the generated pages say what the code does?"""

from pathlib import Path

from django.conf import settings

from payments.management.commands.write_docs import STATUSES, statuses_page


def test_the_statuses_page_is_what_write_docs_would_write() -> None:
    assert (Path(settings.BASE_DIR) / STATUSES).read_text() == statuses_page(), "run `manage.py write_docs`"
