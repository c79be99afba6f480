"""What the description of the API cannot say of a request, put right before it is sent."""

import re
import uuid

import schemathesis

KEY = "Idempotency-Key"


@schemathesis.hook
def before_call(context, case, kwargs):
    # A key belongs to one request. Generated keys repeat, and a repeated one is rightly refused.
    # Requests that are wrong on purpose stay as they are.
    wrong = case.meta is not None and case.meta.generation.mode.is_negative
    if not wrong and re.fullmatch(r"[\x21-\x7e]{1,255}", str((case.headers or {}).get(KEY, ""))):
        case.headers[KEY] = str(uuid.uuid4())
