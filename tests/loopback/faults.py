"""What a call can meet instead of an answer."""

from enum import StrEnum


class Fault(StrEnum):
    """Named by what the provider does. `Loopback.fail_next` queues them: each call takes one."""

    # An HTTP error before the answer; the body quotes the API key.
    RATE_LIMITED = "429"
    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    OVERLOADED = "529"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    REDIRECT = "302"
    OUT_OF_CREDIT = "out_of_credit"
    TOO_LONG = "too_long"
    TOO_LARGE = "413"
    POLICY = "policy"
    ERROR_PAGE = "error_page"  # 503 with a proxy's HTML

    # The connection.
    CLOSED = "closed"  # before a byte
    SILENCE = "silence"  # no headers
    SLOW_START = "slow_start"  # headers, then nothing
    STALL = "stall"  # after the first piece
    TRICKLE = "trickle"  # keeps the connection busy, writes no text
    RESET = "reset"  # in mid-stream, with RST
    TRUNCATED = "truncated"  # in mid-stream, as if all were well

    # What is said.
    ERROR_IN_STREAM = "error_in_stream"
    MALFORMED = "malformed"
    MISSHAPEN = "misshapen"
    NESTED = "nested"
    NOT_UTF8 = "not_utf8"
    HUGE = "huge"
    COMPRESSED = "compressed"
    WRONG_TYPE = "wrong_type"  # 200 with a page
    EMPTY_BODY = "empty_body"
    REFUSES = "refuses"  # the model, in mid-stream
    SAYS_NOTHING = "says_nothing"
    UNCOUNTED = "uncounted"  # no usage
    ODD_CHUNKS = "odd_chunks"  # one byte at a time
    MANY_PINGS = "many_pings"


TRANSIENT = (
    Fault.RATE_LIMITED,
    Fault.SERVER_ERROR,
    Fault.BAD_GATEWAY,
    Fault.UNAVAILABLE,
    Fault.OVERLOADED,
    Fault.ERROR_PAGE,
    Fault.CLOSED,
    Fault.SILENCE,
    Fault.SLOW_START,
    Fault.STALL,
    Fault.TRICKLE,
    Fault.RESET,
    Fault.TRUNCATED,
    Fault.ERROR_IN_STREAM,
    Fault.MALFORMED,
    Fault.MISSHAPEN,
    Fault.NESTED,
    Fault.NOT_UTF8,
    Fault.HUGE,
    Fault.COMPRESSED,
    Fault.WRONG_TYPE,
    Fault.EMPTY_BODY,
)
FOR_GOOD = (
    Fault.UNAUTHORIZED,
    Fault.FORBIDDEN,
    Fault.NOT_FOUND,
    Fault.REDIRECT,
    Fault.OUT_OF_CREDIT,
    Fault.TOO_LONG,
    Fault.TOO_LARGE,
    Fault.POLICY,
    Fault.REFUSES,
)
HARMLESS = (Fault.UNCOUNTED, Fault.ODD_CHUNKS, Fault.MANY_PINGS)
