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
SETTLEMENT_TIMEOUT_SECONDS = 120.0  # one settlement file, from asking for it to its last byte
MAX_SETTLEMENT_BYTES = 512 * 1024 * 1024  # some three million lines; beyond it something is wrong
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
AUDIT_SEAL_SECONDS = 3600.0  # what is younger could be changed unseen by whoever rules the database
AUDIT_SEAL_ENTRIES = 10_000  # of the audit in one seal, about: hashed in the blink of an eye, whatever there is in all
AUDIT_VERIFY_SECONDS = 86_400.0  # the whole chain is hashed again: some ten seconds for a million entries
HEARTBEAT_SECONDS = 5.0
HEARTBEAT_OLD_SECONDS = 30.0  # a process that has not been heard for six beats is taken for dead
HEARTBEAT_KEPT_SECONDS = 3600.0  # rows of processes that are gone
METRICS_CACHE_SECONDS = 5.0  # of the figures that are read from the database
METRICS_DAY_CACHE_SECONDS = 60.0  # of those over a whole day

# --- Approvals, and what needs none ---------------------------------------------------------------------------------
APPROVAL_EXPIRY_SECONDS = 24 * 3600  # what nobody decided within a day must be asked for again
CHECKER_INDEPENDENCE_SECONDS = 30 * 86_400  # whoever lets somebody in could be both; by then somebody knows the new one
# How many units of a currency count as one of a limit's, where one buys next to nothing. Round numbers and no
# exchange rates: what is not named here counts as itself.
LIMIT_MULTIPLES = {
    **dict.fromkeys(("ALL", "AMD", "ARS", "HUF", "INR", "ISK", "JPY", "KES", "RSD", "RUB"), 100),
    **dict.fromkeys(("CLP", "COP", "KRW", "NGN", "XAF", "XOF"), 500),
    **dict.fromkeys(("IDR", "PYG", "UGX", "VND"), 10_000),
}

# What one person may give back alone, by role: at once and within 24 hours, in units of the payment's currency. A
# mistake or a theft of this size hurts and does not ruin; most refunds are of one order and need nobody else.
REFUND_LIMITS = {
    "Operations": (500, 2_000),
    "Finance": (2_000, 10_000),
    "Administrator": (5_000, 20_000),  # superusers too: nobody moves any amount alone
}

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

# --- Access to the desk --------------------------------------------------------------------------------------------
SESSION_IDLE_SECONDS = 1_800  # PCI DSS v4.0.1, 8.2.8, asks for 15 minutes where cards are shown; here none is
SESSION_SECONDS = 12 * 3600  # however busy: a working day
SESSION_TOUCH_SECONDS = 60  # so seldom is written down that somebody is still there
SESSION_UNVERIFIED_SECONDS = 900  # from the password to the code, or to the app that is set up
FRESH_CODE_SECONDS = 300  # what matters most asks for a code of the last five minutes
CODE_STEP_SECONDS = 30  # RFC 6238: how long an app shows one code
CODE_SLACK_STEPS = 1  # a phone's clock may be half a minute off, either way
CODE_THROTTLE_SECONDS = 1  # the wait after a wrong code; it doubles with each further one
CODE_FAILURES_TO_ALERT = 5  # wrong codes in a row after which a person is told
ENROLMENT_SECONDS = 900  # a secret that was shown and not confirmed is replaced after this
RECOVERY_CODES = 10
LOGIN_FAILURES = 5  # of one name from one address; then nothing is looked at for LOCK_OUT_SECONDS
LOGIN_FAILURES_PER_ADDRESS = 50  # of whatever names: an office shares an address, whoever tries names needs more
LOGIN_FAILURES_PER_NAME = 20  # from all addresses: four mistaken at once are rare, and eighty guesses an hour are few
LOCK_OUT_SECONDS = 900
KNOWN_ADDRESS_SECONDS = 90 * 86_400  # from where somebody came in within so long they are not kept out by others

# --- Money of merchants -------------------------------------------------------------------------------------------
REFUND_BEYOND_AVAILABLE = True  # the shortfall becomes what the merchant owes us, visibly
RELEASE_AT_CAPTURE = True  # captured money may be used at once, not only when the gateway settles

# --- Settlement ---------------------------------------------------------------------------------------------------
SETTLEMENT_CHUNK_BYTES = 1024 * 1024  # a file is received and kept in pieces of this size
SETTLEMENT_LINES_PER_COMMIT = 20_000  # lines imported in one transaction, a second or two of work
SETTLEMENT_LEASE_SECONDS = 180.0  # an import that showed no progress for so long was killed: somebody else goes on
SETTLEMENT_STATEMENT_SECONDS = 600.0  # one statement over a file of millions of lines, where nobody waits
SETTLEMENT_ERRORS_KEPT = 500  # of one file; more are counted only
SETTLEMENT_BATCHES = 10_000  # payouts named in one file; beyond it the column was misread
SETTLEMENT_AMOUNT_MINOR = 10**15  # of one line: sums of millions of them still are numbers that the database holds
SETTLEMENT_LINE_DAYS = 550  # a line older than a year and a half is a misread date: no scheme disputes that late
SETTLEMENT_TICK_SECONDS = 60.0  # how often somebody looks for files that wait, and into the folder
SETTLEMENT_FETCH_SECONDS = 3600.0  # how often gateways are asked for new files
RECONCILE_SECONDS = 3600.0  # what waits grows older without any new file
SETTLEMENT_FOLDER_QUIET_SECONDS = 10.0  # a file in the folder that changed since may not be written to its end yet
TOLERANCE_MINOR = 1  # a difference of rounding, in minor units of gross, fee and net
DATE_SLACK_DAYS = 2  # a gateway's day may begin and end elsewhere, and it may book a day late
TIMING_DAYS = 3  # after which what a gateway's files should have named by now is missing there
COVERED_GAP_DAYS = 7  # a file tells of the days between two lines, unless they are further apart: gateways pay weekly
BANK_CREDIT_DAYS = 5  # a payout takes up to two banking days, and a weekend may lie between
RESOLUTION_LIMITS = (100, 1_000)  # what one person alone may post to explain differences: at once, and within a day
RESOLUTION_COUNT = 5_000  # differences resolved at once
CHARGEBACK_FEE_RECHARGED = True  # what the gateway charges for a dispute, its merchant bears

# --- Books --------------------------------------------------------------------------------------------------------
RECORD_LAG_SECONDS = 10.0  # a transaction that begins is seen by others a moment later; far more than that moment
SUMMARIZE_SECONDS = 3600.0  # what was recorded since then is added up by whoever asks
SEAL_SECONDS = 3600.0  # what is younger could be changed unseen by whoever rules the database
SEAL_OVERDUE_SECONDS = 86_400.0  # what is older and in no seal was never sealed, or its seal was taken away

# --- Reports ------------------------------------------------------------------------------------------------------
REPORT_PAGE_SECONDS = 15.0  # one query of a report that somebody waits for: with its writing, below the server's 27 s
REPORT_SECONDS = 300.0  # the same where nobody waits: on a command line, or by e-mail
REPORT_PAGE_ROWS = 200  # shown on a page; its totals are of all rows
REPORT_DOWNLOAD_ROWS = 100_000  # exported from a page; what is longer is written by the command
REPORT_ATTACHMENT_BYTES = 5 * 1024 * 1024  # many mail servers refuse messages over 10 MB, and these grow by a third
REPORT_SEND_SECONDS = 840  # one run of sending; a report that takes longer is not for e-mail
REPORT_SEND_LEASE_SECONDS = 900.0  # outlasts a run: a worker that took a report and died is followed after so long
REPORT_SEND_RETRY_SECONDS = 300.0  # a mail server that refused is asked again
REPORT_SEND_TICK_SECONDS = 60.0  # how often somebody looks which report is due

# --- The desk: lists and queues -----------------------------------------------------------------------------------
BULK_ROWS = 200  # done at once, one after the other: about as many as somebody can have looked at
BULK_SECONDS = 15.0  # no further row is begun after it: below the server's 27 s
SAVED_FILTERS = 20  # of one person for one list
EXPORT_ROWS_AT_ONCE = 2_000  # read by one query
EXPORT_QUERY_SECONDS = 20.0  # such a query of a filter that no index serves; somebody waits for the first
EXPORTS_AT_ONCE = 2  # per web process: each keeps a thread, and a processor busy
QUEUE_COUNT = 99  # counted for the badge of a queue; beyond it there are more
STUCK_SECONDS = 900.0  # most payments are decided within seconds; after a quarter of an hour somebody should look
DELIVERY_TRIES_TO_LOOK = 3  # a message that was refused so often may need somebody; to change it takes a migration

# --- Requests -----------------------------------------------------------------------------------------------------
MAX_BODY_BYTES = 64 * 1024
MAX_JSON_DEPTH = 8
