"""Where is what? The merchant's side of /v1."""

from django.urls import path, register_converter

from payments.api import notices, views


class PublicId:
    """The text of an outside id; whether it names anything is for the look-up to say."""

    regex = "[a-z]{2,4}_[0-9A-Za-z]{20,32}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(PublicId, "public_id")

urlpatterns = [
    path("payments", views.PaymentsView.as_view()),
    path("payments/<public_id:public_id>", views.PaymentView.as_view()),
    path("payments/<public_id:public_id>/confirm", views.ConfirmView.as_view()),
    path("payments/<public_id:public_id>/capture", views.CaptureView.as_view()),
    path("payments/<public_id:public_id>/cancel", views.CancelView.as_view()),
    path("payments/<public_id:public_id>/refunds", views.RefundsView.as_view()),
    path("payments/<public_id:public_id>/attempts", views.AttemptsView.as_view()),
    path("refunds/<public_id:public_id>", views.RefundView.as_view()),
    path("notices/<slug:code>", notices.NoticesView.as_view()),
]
