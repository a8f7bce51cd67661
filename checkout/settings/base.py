"""Every setting, once. What differs per machine comes from the environment (`.env.example` lists it)."""

import logging
from pathlib import Path
from typing import Any

import environ
import structlog
from django.templatetags.static import static
from django.urls import reverse_lazy

from checkout.kit.card_numbers import scrub_event
from checkout.settings import policy

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

# --- Secrets ------------------------------------------------------------------------------------------------------
SECRET_KEY = env("SECRET_KEY")
FERNET_KEYS = env.list("FERNET_KEYS", default=[])
FINGERPRINT_KEY = env("FINGERPRINT_KEY", default="")
API_KEY_HASH_KEY = env("API_KEY_HASH_KEY", default="")
IDEMPOTENCY_FINGERPRINT_KEY = env("IDEMPOTENCY_FINGERPRINT_KEY", default="")
METRICS_TOKEN = env("METRICS_TOKEN", default="")

# --- Where we are -------------------------------------------------------------------------------------------------
DEBUG = False
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
PUBLIC_URL = env("PUBLIC_URL", default="http://127.0.0.1:8000")
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
ENVIRONMENT_NAME = env("ENVIRONMENT_NAME", default="test")  # shown on every page of the desk
PROXY_COUNT = env.int("PROXY_COUNT", default=0)  # proxies of ours in front, each of which adds to X-Forwarded-For

# --- Applications -------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # the other one would put a site of its own in place of ours
    "unfold.contrib.filters",
    "checkout.admin_site.CheckoutAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "simple_history",
    "django_otp",
    "axes",
    "checkout.kit",
    "checkout.kit.access",
    "merchants",
    "gateways",
    "ledger",
    "payments",
]
AUTH_USER_MODEL = "kit.User"

MIDDLEWARE = [
    "checkout.metrics.RequestTimer",
    "checkout.kit.access.gate.ClientAddress",
    "checkout.api.requests.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "checkout.kit.access.gate.Gate",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "checkout.kit.acting.DeskActor",
    "csp.middleware.CSPMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "checkout.urls"
WSGI_APPLICATION = "checkout.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- PostgreSQL ---------------------------------------------------------------------------------------------------
# PROCESS_ROLE says which limits hold: a web request must answer soon, a report may take its time, and a migration as
# long as its index takes; but others queue behind a lock that it waits for, so it does not wait long.
PROCESS_ROLE = env("PROCESS_ROLE", default="worker")
_TIMEOUTS = {  # lock, statement, idle in transaction, in milliseconds
    "web": (1_000, 5_000, 5_000),
    "worker": (2_000, 10_000, 10_000),
    "report": (2_000, 60_000, 60_000),
    "migrate": (2_000, 0, 60_000),
}
_lock, _statement, _idle = _TIMEOUTS[PROCESS_ROLE]
DATABASES = {"default": env.db("DATABASE_URL")}
DATABASES["default"]["OPTIONS"] = {
    "options": (
        f"-c lock_timeout={_lock} -c statement_timeout={_statement}"
        f" -c idle_in_transaction_session_timeout={_idle} -c synchronous_commit=on"
    ),
    "connect_timeout": 5,
}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # after a restart of the database nobody gets a dead connection
if PROCESS_ROLE == "web":
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 2,
        "max_size": env.int("DATABASE_POOL_MAX_SIZE", default=12),
        "timeout": 5,
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 600
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Settlement files that somebody puts here are taken in: in `<gateway code>/`, bank statements in `bank/`.
SETTLEMENT_FOLDER = env("SETTLEMENT_FOLDER", default=str(VAR_DIR / "settlement"))

# Whether an endpoint in test mode may be on this machine, over plain http: for whoever develops one.
WEBHOOK_ALLOW_LOOPBACK = False
FAILPOINTS = False  # only the test settings let a test reach into an act

# --- Redis and Celery ---------------------------------------------------------------------------------------------
REDIS_URL = env("REDIS_URL")
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 1,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 30  # over it a child is killed; a soft limit would raise half-way out of a transaction
CELERY_TASK_DEFAULT_QUEUE = "reports"
CELERY_TASK_ROUTES = {
    "payments.run_due": {"queue": "money"},
    "payments.apply_notices": {"queue": "notices"},
    "merchants.deliver_webhooks": {"queue": "webhooks"},
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_SCHEDULE = {
    "check the health of gateways": {
        "task": "gateways.check_health",
        "schedule": policy.HEALTH_CHECK_SECONDS,
        "options": {"expires": policy.HEALTH_CHECK_SECONDS},
    },
    "examine the books": {
        "task": "payments.self_audit",
        "schedule": policy.SELF_AUDIT_SECONDS,
        "options": {"expires": policy.SELF_AUDIT_SECONDS},
    },
    "say that beat is alive": {
        "task": "payments.heartbeat",
        "schedule": policy.HEARTBEAT_SECONDS,
        "options": {"expires": policy.HEARTBEAT_SECONDS},
    },
    "expire payments and forget what must not be kept": {
        "task": "payments.expire",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "send the reports that are due": {
        "task": "ledger.send_reports",
        "schedule": policy.REPORT_SEND_TICK_SECONDS,
        "options": {"expires": policy.REPORT_SEND_TICK_SECONDS},
    },
    "forget events that merchants were told of long ago": {
        "task": "merchants.forget_old_events",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "forget sessions that are over": {
        "task": "access.forget_sessions",
        "schedule": 86_400.0,
        "options": {"expires": 86_400},
    },
    "sum up the ledger": {
        "task": "ledger.summarize",
        "schedule": policy.SUMMARIZE_SECONDS,
        "options": {"expires": policy.SUMMARIZE_SECONDS},
    },
    "seal the ledger": {
        "task": "ledger.seal",
        "schedule": policy.SEAL_SECONDS,
        "options": {"expires": policy.SEAL_SECONDS},
    },
    "seal the audit": {
        "task": "kit.seal_audit",
        "schedule": policy.AUDIT_SEAL_SECONDS,
        "options": {"expires": policy.AUDIT_SEAL_SECONDS},
    },
    "verify the audit": {
        "task": "kit.verify_audit",
        "schedule": policy.AUDIT_VERIFY_SECONDS,
        "options": {"expires": policy.AUDIT_VERIFY_SECONDS},
    },
    "import settlement files": {
        "task": "ledger.import_files",
        "schedule": policy.SETTLEMENT_TICK_SECONDS,
        "options": {"expires": policy.SETTLEMENT_TICK_SECONDS},
    },
    "look into the folder for settlement files": {
        "task": "ledger.collect_files",
        "schedule": policy.SETTLEMENT_TICK_SECONDS,
        "options": {"expires": policy.SETTLEMENT_TICK_SECONDS},
    },
    "fetch settlement files": {
        "task": "ledger.fetch_settlements",
        "schedule": policy.SETTLEMENT_FETCH_SECONDS,
        "options": {"expires": policy.SETTLEMENT_FETCH_SECONDS},
    },
    "reconcile": {
        "task": "ledger.reconcile_all",
        "schedule": policy.RECONCILE_SECONDS,
        "options": {"expires": policy.RECONCILE_SECONDS},
    },
}

# --- E-mail: to the people of the desk only ------------------------------------------------------------------------
# Unset, nothing can be sent, and what wants to be says so.
vars().update(env.email("EMAIL_URL", default="dummymail://"))
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env("EMAIL_FROM", default="checkout@localhost")

# --- The API ------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["checkout.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["checkout.api.permissions.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["checkout.api.strict_json.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["checkout.api.strict_json.CompactJSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "checkout.api.strict_json.JSONNegotiation",
    "DEFAULT_SCHEMA_CLASS": "checkout.api.schema.CheckoutSchema",
    "EXCEPTION_HANDLER": "checkout.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Checkout API",
    "DESCRIPTION": (
        "Take card payments through one API, over several gateways.\n\n"
        "**Key.** `Authorization: Bearer sk_test_…`; a test key reaches test gateways only.\n\n"
        "**Once.** Every POST needs an `Idempotency-Key`; the same key gives the same answer again, "
        "never a second charge.\n\n"
        "**Waiting.** 201 when the outcome is known, 202 with `processing` when it is not yet; `Prefer: wait=N` or "
        "`respond-async` says how long to wait. A decline is a payment with `status: declined`, not an error.\n\n"
        "**Test cards.** 4242424242424242 succeeds, 4000000000000002 is declined, 4000000000009995 lacks funds, "
        "4000000000000119 is tried at another gateway, 4000002500003155 needs 3-D Secure."
    ),
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [],
    "ENABLE_DJANGO_DEPLOY_CHECK": False,
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- The admin ----------------------------------------------------------------------------------------------------
LOGIN_URL = reverse_lazy("admin:login")
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = ["checkout.kit.access.lockout.Passwords"]
AXES_HANDLER = "checkout.kit.access.lockout.LockOut"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "ip_address", "username"]
AXES_FAILURE_LIMIT = policy.LOGIN_FAILURES
AXES_COOLOFF_TIME = "checkout.kit.access.lockout.cool_off"
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # nobody is kept out for good by somebody who keeps trying
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_CALLABLE = "checkout.kit.access.lockout.name_of"
AXES_LOCKOUT_CALLABLE = "checkout.kit.access.lockout.page"
AXES_SENSITIVE_PARAMETERS = ["username", "password", "ip_address", "csrfmiddlewaretoken", "next"]
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True  # the audit says who came in
AXES_VERBOSE = False
SESSION_COOKIE_AGE = policy.SESSION_SECONDS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"  # a link in an e-mail of ours leads to the page, not to the login
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Strict"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
# The desk's own scripts need eval, its widgets set styles; nothing is loaded from or sent to anywhere else.
CONTENT_SECURITY_POLICY = {
    "EXCLUDE_URL_PREFIXES": ["/v1/", "/pay/", "/health/"],
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    },
}
UNFOLD = {
    "SITE_TITLE": "Checkout",
    "SITE_HEADER": "Checkout",
    "SITE_SUBHEADER": "Operations desk",
    "SITE_URL": None,
    "SITE_SYMBOL": "credit_card",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("desk/icon.svg")}],
    "STYLES": [lambda request: static("desk/desk.css")],
    "ENVIRONMENT": "checkout.admin_site.environment",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "oklch(96.8% .018 250)",
            "100": "oklch(93.2% .035 250)",
            "200": "oklch(87.5% .062 250)",
            "300": "oklch(79.5% .095 250)",
            "400": "oklch(70.5% .125 252)",
            "500": "oklch(61.5% .145 254)",
            "600": "oklch(53% .15 256)",
            "700": "oklch(46.5% .135 257)",
            "800": "oklch(40.5% .11 257)",
            "900": "oklch(35.5% .085 257)",
            "950": "oklch(27% .065 258)",
        },
    },
    "ACCOUNT": {
        "navigation": [
            {"title": "Change password", "link": reverse_lazy("admin:password_change")},
            {"title": "Two-factor", "link": reverse_lazy("admin:second_factor")},
        ]
    },
    "SIDEBAR": {"show_search": True, "command_search": True, "navigation": "checkout.admin_site.navigation"},
}

# --- Language, time, static files ---------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = False
FORMAT_MODULE_PATH = ["checkout.settings.formats"]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"

# --- Logs: JSON, one line each ------------------------------------------------------------------------------------
LOG_LEVEL = env("LOG_LEVEL", default="INFO")
logging.captureWarnings(True)
_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
structlog.configure(
    processors=[*_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _PROCESSORS,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Tracebacks without local variables: a frame may hold a card number.
                structlog.processors.format_exc_info,
                scrub_event,
                structlog.processors.JSONRenderer(),
            ],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": ["stderr"], "propagate": False},
        "axes": {"level": "WARNING"},  # what it does with its rows is no news
    },
}
