"""How does somebody prove who they are? The pages of one-time codes, of setting up an app, and of what one has."""

from io import BytesIO
from typing import Any

import qrcode
from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.safestring import SafeString, mark_safe
from qrcode.image.svg import SvgPathImage

from checkout.kit import audit
from checkout.kit.access import codes, sessions
from checkout.kit.access.need import needs_second_factor
from checkout.kit.admin.fresh import CodeField
from checkout.kit.admin.requests import actor_of, user_of
from checkout.kit.errors import Refusal
from checkout.settings import policy


class CodeForm(forms.Form):
    """A code, and nothing else."""

    code = CodeField(label="Code")
    code.widget.attrs["autofocus"] = True


class AppCodeForm(forms.Form):
    """What the app that is being set up shows."""

    code = CodeField(label="Code that the app shows")


class Pages:
    """The pages of one admin site."""

    def __init__(self, site: AdminSite) -> None:
        self.site = site

    def urls(self) -> list[URLPattern]:
        """Where they are."""
        view = self.site.admin_view
        return [
            path("code/", view(self.code), name="code"),
            path("second-factor/", view(self.second_factor), name="second_factor"),
            path("second-factor/enrol/", view(self.enrol), name="enrol"),
            path("second-factor/recovery-codes/", view(self.renew), name="recovery_codes"),
            path("second-factor/remove/", view(self.remove), name="remove_second_factor"),
        ]

    def code(self, request: HttpRequest) -> HttpResponse:
        """The second step of logging in, and what whoever needs a fresh code is led to."""
        user, onward = user_of(request), onward_of(request)
        if codes.authenticator_of(user) is None:
            return HttpResponseRedirect(onward)
        was_verified = sessions.is_verified(request)
        form = CodeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                sessions.give_code(request, form.cleaned_data["code"], actor_of(request))
            except Refusal as refusal:
                form.add_error("code", refusal.message)
            else:
                if not was_verified:
                    audit.record(actor=actor_of(request), verb="user.enter", obj=user)
                return HttpResponseRedirect(onward)
        return self._show(request, "code", "One-time code", form=form, is_verified=was_verified)

    def enrol(self, request: HttpRequest) -> HttpResponse:
        """Set up an app; who has one gives a fresh code of it first."""
        user = user_of(request)
        current = codes.authenticator_of(user)
        if current and not sessions.is_fresh(request):
            return _to_code(request)
        form = AppCodeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                authenticator, recovery_codes = codes.confirm_authenticator(
                    user=user, code=form.cleaned_data["code"], actor=actor_of(request)
                )
            except Refusal as refusal:
                form.add_error("code", refusal.message)
            else:
                sessions.admit(request, authenticator)
                return self._show_codes(request, recovery_codes)
        pending = codes.pending_authenticator(user)
        return self._show(
            request,
            "enrol",
            "Set up two-factor",
            form=form,
            picture=picture_of(pending.address),
            secret=" ".join(pending.secret[at : at + 4] for at in range(0, len(pending.secret), 4)),
            is_required=needs_second_factor(user),
            is_another=current is not None,
        )

    def second_factor(self, request: HttpRequest) -> HttpResponse:
        """What somebody has set up."""
        user = user_of(request)
        authenticator = codes.authenticator_of(user)
        return self._show(
            request,
            "second_factor",
            "Two-factor and recovery codes",
            authenticator=authenticator,
            codes_left=codes.recovery_codes_left(authenticator) if authenticator else 0,
            is_required=needs_second_factor(user),
        )

    def renew(self, request: HttpRequest) -> HttpResponse:
        """New recovery codes in place of the old ones."""
        if not sessions.is_fresh(request):
            return _to_code(request)
        if request.method != "POST":
            return self._confirm(request, "New recovery codes", "The ones you have are good for nothing from then on.")
        return self._show_codes(request, codes.renew_recovery_codes(user=user_of(request), actor=actor_of(request)))

    def remove(self, request: HttpRequest) -> HttpResponse:
        """Do without a second factor, where nobody asks for one."""
        user = user_of(request)
        if needs_second_factor(user):
            messages.warning(request, "With what you may do here, two-factor cannot be switched off.")
            return HttpResponseRedirect(reverse("admin:second_factor"))
        if not sessions.is_fresh(request):
            return _to_code(request)
        if request.method != "POST":
            return self._confirm(
                request, "Switch two-factor off", "From then on your password alone lets you in. You are logged out."
            )
        codes.remove_second_factor(user=user, reason="by themselves", actor=actor_of(request))
        return HttpResponseRedirect(reverse("admin:index"))

    def _show_codes(self, request: HttpRequest, recovery_codes: list[str]) -> HttpResponse:
        return self._show(
            request, "recovery_codes", "Your recovery codes", codes=recovery_codes, text="\n".join(recovery_codes)
        )

    def _confirm(self, request: HttpRequest, title: str, consequence: str) -> HttpResponse:
        return self._show(request, "confirm", title, consequence=consequence)

    def _show(self, request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
        request.current_app = self.site.name
        context = {
            **self.site.each_context(request),
            "title": title,
            "onward": onward_of(request),
            "minutes": policy.FRESH_CODE_SECONDS // 60,
            **context,
        }
        return TemplateResponse(request, f"admin/access/{template}.html", context)


def onward_of(request: HttpRequest) -> str:
    """Where somebody wanted to go: an address of this desk, whatever the parameter says."""
    wanted = request.POST.get("next", request.GET.get("next", ""))
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else reverse("admin:index")


def picture_of(text: str) -> SafeString:
    """A QR code as an SVG element: nothing of it is text."""
    drawn = BytesIO()
    qrcode.make(text, image_factory=SvgPathImage, box_size=8, border=2).save(drawn)
    return mark_safe(drawn.getvalue().decode().partition("?>")[2])


def _to_code(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(f"{reverse('admin:code')}?{urlencode({'next': request.path})}")
