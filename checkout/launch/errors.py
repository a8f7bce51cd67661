"""What may go wrong before the platform runs? One kind of error, with a sentence a person can act on."""


class LaunchError(Exception):
    """The platform cannot be started or kept; the message says what to do about it."""
