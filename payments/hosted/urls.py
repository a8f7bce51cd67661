"""Where is what a customer sees?"""

from django.urls import path

from payments.hosted import views

urlpatterns = [path("return/<slug:reference>", views.customer_returns, name="customer_returns")]
