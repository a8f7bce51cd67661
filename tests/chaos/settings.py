"""What do the processes of a chaos round run with? The tests' settings, and shorter times, so that a round is short.

The order of the times stays that of production: a lease outlasts one call and its recording, a key is in flight for
longer than a request, and a gateway's settle window is longer than one call.
"""

from checkout.settings import policy

policy.DEFAULT_WAIT_SECONDS = 3
policy.MAX_WAIT_SECONDS = 5
policy.ANSWERING_SECONDS = 8
policy.CONNECT_TIMEOUT_SECONDS = 1.0
policy.CALL_TIMEOUT_SECONDS = 2.5
policy.LEASE_SECONDS = 6.0
policy.SETTLE_WINDOW_SECONDS = 3
policy.RETRY_DELAYS_SECONDS = (1, 2, 4, 8, 15)
policy.INQUIRY_DELAYS_SECONDS = (1, 2, 4, 8)
policy.HEALTH_CHECK_SECONDS = 2
policy.SELF_AUDIT_SECONDS = 15.0
policy.HEALTH_TIMEOUT_SECONDS = 1.0
policy.RECOVERY_SECONDS = 12.0

from checkout.settings.test import *  # noqa: E402, F403
