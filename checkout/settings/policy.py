"""Our own numbers: each with its unit and the reason for it. Nothing is a secret, nothing depends on the machine."""

# --- A payment ----------------------------------------------------------------------------------------------------
CREATED_EXPIRY_SECONDS = 600  # a created payment that nobody confirms is forgotten after ten minutes
AUTHORIZATION_EXPIRY_SECONDS = 7 * 86_400  # card schemes let a reservation lapse after about a week
ACTION_EXPIRY_SECONDS = 1_800  # a customer sent to the card's bank has half an hour to come back
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
RUN_SECONDS = 10.0  # how long one run keeps claiming; its last calls end within the time limit of 30 s
CLAIM_AGAIN_SECONDS = 0.025  # while calls are in flight, how often a run looks for more that is due
RECOVERY_SECONDS = 60.0  # for so long after a gateway recovered, what is unknown there is asked about sooner
NOTICE_PATIENCE_SECONDS = 0.1  # notices come in swarms: one ring for all that arrive within it
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

# --- Looking after ourselves --------------------------------------------------------------------------------------
SELF_AUDIT_SECONDS = 3600.0
AUDIT_OVERDUE_SECONDS = 300.0  # what is due for longer has been forgotten: the sweeper comes after five seconds
AUDIT_DELIVERY_OVERDUE_SECONDS = 3600.0  # an endpoint may be slow for a while; after an hour it is we who are
AUDIT_SAMPLE_COUNT = 5  # objects named for one broken invariant
UNKNOWN_OLD_SECONDS = 900.0  # most unknown outcomes are known within minutes; an older one needs a person
HEARTBEAT_SECONDS = 5.0
HEARTBEAT_OLD_SECONDS = 30.0  # a process that has not been heard for six beats is taken for dead
HEARTBEAT_KEPT_SECONDS = 3600.0  # rows of processes that are gone
METRICS_CACHE_SECONDS = 5.0  # of the figures that are read from the database
METRICS_DAY_CACHE_SECONDS = 60.0  # of those over a whole day

# --- Approvals
APPROVAL_EXPIRY_SECONDS = 24 * 3600  # what nobody decided within a day must be asked for again

# --- Webhooks to merchants ----------------------------------------------------------------------------------------
WEBHOOK_PATIENCE_SECONDS = 0.2  # one ring for all events that are written within it
WEBHOOK_DELAYS_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)  # ten tries in three days
WEBHOOK_JITTER = 0.1  # a delay grows by up to this share, so that what failed together does not return together
WEBHOOK_TIMEOUT_SECONDS = 15.0  # one call in all, names and TLS included
WEBHOOK_LEASE_SECONDS = 30.0  # outlasts a call and its recording
WEBHOOK_MAX_ANSWER_BYTES = 64 * 1024  # only the status matters; reading a little more lets the connection be kept
WEBHOOK_MAX_RETRY_AFTER_SECONDS = 86_400  # how far an endpoint may put us off
WEBHOOK_DISPATCH_COUNT = 500  # events made into deliveries by one statement
WEBHOOK_BATCH_COUNT = 100  # deliveries claimed at once
WEBHOOK_MAX_CALLS = 256  # in flight per run
WEBHOOK_MAX_CALLS_PER_ENDPOINT = 16  # of them; one when the endpoint has failed as often as this in a row:
WEBHOOK_FAILURES_TO_PACE = 10
WEBHOOK_RUN_SECONDS = 15.0  # how long one run keeps claiming; then it only waits for its last calls
WEBHOOK_GIVE_UP_SECONDS = 5 * 86_400  # an endpoint that accepted nothing for so long is disabled
WEBHOOK_SECRET_OVERLAP_SECONDS = 86_400  # the old secret signs too for so long after a rotation
WEBHOOK_MAX_ENDPOINTS = 16  # per merchant and mode: each one is a call for every event
WEBHOOK_EVENT_DAYS = 30  # events, and what became of them, are kept for so long

# --- API keys -----------------------------------------------------------------------------------------------------
KEY_CACHE_SECONDS = 1.0  # so a revocation holds within a second
KEY_LAST_USED_RESOLUTION_SECONDS = 60

# --- Money of merchants -------------------------------------------------------------------------------------------
REFUND_BEYOND_AVAILABLE = True  # the shortfall becomes what the merchant owes us, visibly
RELEASE_AT_CAPTURE = True  # captured money may be used at once, not only when the gateway settles

# --- Requests -----------------------------------------------------------------------------------------------------
MAX_BODY_BYTES = 64 * 1024
MAX_JSON_DEPTH = 8
