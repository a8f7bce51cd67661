"""With what does somebody prove who they are, beyond a password?"""

import base64
import secrets
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import models
from django_otp.models import Device, ThrottlingMixin

from checkout.kit.fields import EncryptedTextField
from checkout.settings import policy


def new_secret() -> str:
    """A secret of 160 bits in base32, as RFC 4226 recommends."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


class Authenticator(ThrottlingMixin, Device):
    """An app that shows one-time codes (RFC 6238). A person has one, and one more while it is being set up.

    Wrong codes in a row make everybody wait, twice as long each time; recovery codes are counted here as well.
    """

    secret = EncryptedTextField(default=new_secret)
    last_step = models.BigIntegerField(default=-1)  # of 30 seconds, of the last code that was accepted
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(Device.Meta):
        constraints = [models.UniqueConstraint(fields=["user", "confirmed"], name="authenticator_one_of_each")]

    def __str__(self) -> str:
        return f"authenticator of {self.user_id}"

    def get_throttle_factor(self) -> float:
        """How long the first wrong code makes one wait, in seconds."""
        return policy.CODE_THROTTLE_SECONDS

    @property
    def key(self) -> bytes:
        """The secret as codes are computed with it."""
        return base64.b32decode(self.secret)

    @property
    def address(self) -> str:
        """The secret as an app reads it from a picture: `otpauth://totp/…`."""
        name = settings.ENVIRONMENT_NAME
        issuer = "Checkout" if name == "live" else f"Checkout {name}"
        label = quote(f"{issuer}:{self.user.get_username()}")
        return f"otpauth://totp/{label}?" + urlencode({"secret": self.secret, "issuer": issuer}, quote_via=quote)


class RecoveryCode(models.Model):
    """A code for when the app is lost. It works once, and only its keyed hash is kept."""

    authenticator = models.ForeignKey(Authenticator, on_delete=models.CASCADE, related_name="recovery_codes")
    hash = models.CharField(max_length=64, unique=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"recovery code {self.pk}"
