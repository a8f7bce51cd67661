"""Our own numbers: each with its unit and the reason for it. Nothing is a secret, nothing depends on the machine."""

# --- A payment ----------------------------------------------------------------------------------------------------
CREATED_EXPIRY_SECONDS = 600  # a created payment that nobody confirms is forgotten after ten minutes
AUTHORIZATION_EXPIRY_SECONDS = 7 * 86_400  # card schemes let a reservation lapse after about a week
MAX_AMOUNT_MINOR = 99_999_999_99  # a typing error, not a payment, is what lies above this
CVV_LIFETIME_SECONDS = 900  # PCI DSS v4.0.1, 3.3.1: not kept after authorization; this is the limit if none happens
MAX_CHARGE_ATTEMPTS = 5  # gateways tried for one confirmation, at the most

# --- Waiting for the outcome --------------------------------------------------------------------------------------
DEFAULT_WAIT_SECONDS = 10
MAX_WAIT_SECONDS = 20  # below the web server's own limit of 27 s
MAX_WAITING_REQUESTS = 40  # per web process, of its 48 threads: beyond it the answer is 202 at once
ANSWERING_SECONDS = 25  # how long an idempotency key says "still in flight" before a retry may take over
IDEMPOTENCY_KEY_DAYS = 30

# --- Calling gateways ---------------------------------------------------------------------------------------------
CONNECT_TIMEOUT_SECONDS = 2.0
CALL_TIMEOUT_SECONDS = 9.0  # one gateway call in all; the lease below must outlast it and the recording after it
LEASE_SECONDS = 20.0
MAX_REPLY_BYTES = 256 * 1024
BATCH_COUNT = 50  # attempts claimed at once
MAX_CALLS = 150  # in flight per worker process
MAX_CALLS_PER_GATEWAY = 32  # of them; beyond it nothing new is claimed for that gateway, so a slow one takes not all
RUN_SECONDS = 10.0  # how long one run keeps claiming; its last calls end within the soft time limit of 25 s
CLAIM_AGAIN_SECONDS = 0.025  # while calls are in flight, how often a run looks for more that is due
RETRY_DELAYS_SECONDS = (5, 30, 120, 600, 3600)  # a capture, void or refund that certainly did not reach its gateway

# --- Asking about unknown and pending outcomes --------------------------------------------------------------------
INQUIRY_DELAYS_SECONDS = (2, 4, 8, 15, 30, 60, 120, 300, 900, 1800, 3600, 7200)  # the last one repeats, never ends
SETTLE_WINDOW_SECONDS = 120  # default of a new gateway: a request may arrive this late

# --- Health of gateways -------------------------------------------------------------------------------------------
FAILURES_TO_UNHEALTHY = 3  # in a row, checks or calls
CHECKS_TO_HEALTHY = 2  # good checks in a row
HEALTH_CHECK_SECONDS = 10
HEALTH_TIMEOUT_SECONDS = 3.0
HEALTH_HISTORY_DAYS = 30

# --- Sweeper ------------------------------------------------------------------------------------------------------
SWEEP_SECONDS = 0.5
RING_WHEN_DUE_FOR_SECONDS = 1.0
RUN_WHEN_DUE_FOR_SECONDS = 5.0

# --- API keys -----------------------------------------------------------------------------------------------------
KEY_CACHE_SECONDS = 1.0  # so a revocation holds within a second
KEY_LAST_USED_RESOLUTION_SECONDS = 60

# --- Money of merchants -------------------------------------------------------------------------------------------
REFUND_BEYOND_AVAILABLE = True  # the shortfall becomes what the merchant owes us, visibly
RELEASE_AT_CAPTURE = True  # captured money may be used at once, not only when the gateway settles

# --- Requests -----------------------------------------------------------------------------------------------------
MAX_BODY_BYTES = 64 * 1024
MAX_JSON_DEPTH = 8
