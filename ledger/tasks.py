"""What runs later for the books? Nothing that money waits for: what is late makes reading slower, never wrong.

None is retried: the next tick is the retry, and it goes on where this one stopped.
"""

from pathlib import Path

from celery import shared_task
from django.conf import settings

from checkout.kit.actors import Actor
from checkout.kit.defer import heard
from checkout.settings import policy
from ledger import services
from ledger.services import subscriptions
from ledger.services.files import IMPORT_FILES


@shared_task(name="ledger.summarize", time_limit=960)
def summarize() -> None:
    """Sum up what has been recorded."""
    services.summarize()


@shared_task(name="ledger.seal", time_limit=960)
def seal() -> None:
    """Seal what has been recorded."""
    services.seal()


@shared_task(name=IMPORT_FILES, time_limit=3600)
def import_files() -> None:
    """Import the files that wait, and match what they brought. A killed one is gone on with once its lease is over."""
    heard(IMPORT_FILES)
    services.import_due(actor=Actor.task("import_files"))


@shared_task(name="ledger.collect_files", time_limit=3600)
def collect_files() -> None:
    """Take in what was put into the folder for settlement files."""
    services.collect_files(folder=Path(settings.SETTLEMENT_FOLDER), actor=Actor.task("collect_files"))


@shared_task(name="ledger.fetch_settlements", time_limit=3600)
def fetch_settlements() -> None:
    """Fetch from gateways the files that are new there."""
    services.fetch_files(actor=Actor.task("fetch_settlements"))


@shared_task(name="ledger.reconcile_all", time_limit=3600)
def reconcile_all() -> None:
    """Look at every gateway and at the bank again: what was young may be missing by now."""
    services.reconcile_all(actor=Actor.task("reconcile_all"))


@shared_task(name=subscriptions.SEND_REPORTS, time_limit=policy.REPORT_SEND_SECONDS)
def send_reports() -> None:
    """Send the reports that are due, one after the other. A killed one is sent again once its lease is over."""
    heard(subscriptions.SEND_REPORTS)
    while subscriptions.send_next_report():
        pass
