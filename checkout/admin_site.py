"""The operations desk: the one admin site, and what its home page says."""

from django.contrib.admin.apps import AdminConfig
from unfold.sites import UnfoldAdminSite


class CheckoutAdminSite(UnfoldAdminSite):
    """Django's admin, as the place where payments are run."""

    site_title = "Checkout"
    site_header = "Checkout"
    index_title = "Today"


class CheckoutAdminConfig(AdminConfig):
    """Makes it the default site, so that every app registers with `admin.site`."""

    default_site = "checkout.admin_site.CheckoutAdminSite"
