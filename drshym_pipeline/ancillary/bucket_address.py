"""Open the bucket of an address, with bounded time for each request.

The credentials, the endpoint and the region are those of the usual AWS_ variables, which obstore reads. Without
credentials the requests are not signed, as public buckets want it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from drshym_pipeline.ancillary.bucket_client import BucketClient
from drshym_pipeline.errors import InputError

SCHEME: Final = "s3://"
# A request ends when nothing comes for so long; a large tile over a slow line may take long as a whole.
_SILENT_SECONDS: Final = 30
_WHOLE_SECONDS: Final = 1800
_RETRIES: Final = 3
_RETRY_SECONDS: Final = 60
_KEY, _SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
# With one of these the library has, or finds, credentials.
_OTHER_CREDENTIALS: Final = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def open_bucket(address: str) -> BucketClient:
    """Return the objects below an address; one process has one for each.

    Args:
        address: `s3://bucket` or `s3://bucket/prefix`.

    Raises:
        InputError: It is not an address of a bucket, or the AWS_ variables do not go together.
    """
    return _opened(address, tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_"))))


@lru_cache(maxsize=8)
def _opened(address: str, variables: tuple[tuple[str, str], ...]) -> BucketClient:
    from obstore.store import S3Store

    bucket, prefix = _parts(address)
    environment = dict(variables)
    endpoint = next((environment[name] for name in _ENDPOINTS if environment.get(name)), "")
    options: dict[str, Any] = {}
    if not _has_credentials(environment):
        options["skip_signature"] = True
    store = S3Store(
        bucket,
        prefix=prefix or None,
        client_options={
            "allow_http": _allows_http(environment, endpoint),
            "connect_timeout": timedelta(seconds=_SILENT_SECONDS),
            "read_timeout": timedelta(seconds=_SILENT_SECONDS),
            "timeout": timedelta(seconds=_WHOLE_SECONDS),
        },
        retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
        **options,
    )
    return BucketClient(SCHEME + "/".join(filter(None, (bucket, prefix))), store, endpoint)


def _parts(address: str) -> tuple[str, str]:
    """Return the bucket and the prefix of an address.

    Raises:
        InputError: It has another scheme, or is not an address of a bucket.
    """
    remedy = "Give s3://bucket or s3://bucket/prefix, or a folder"
    if "@" in address.partition("//")[2].partition("/")[0]:  # a secret must not be shown
        raise InputError(
            "--ancillary", "is an address with a user or secret in it", "Set the AWS_ variables, and leave it out there"
        )
    if not address.startswith(SCHEME):
        raise InputError(address, "is an address that cannot be read: only s3:// can", remedy)
    bucket, _, prefix = address.removeprefix(SCHEME).partition("/")
    prefix = prefix.rstrip("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket):
        raise InputError(address, "has no name of a bucket", remedy)
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise InputError(address, "has a prefix with an empty part or dots", remedy)
    return bucket, prefix


def _has_credentials(environment: Mapping[str, str]) -> bool:
    """Return whether requests are to be signed.

    Raises:
        InputError: Only the key or only the secret is set.
    """
    given = [name for name in (_KEY, _SECRET) if environment.get(name)]
    if len(given) == 1:
        missing = _SECRET if given == [_KEY] else _KEY
        raise InputError(missing, f"is not set, but {given[0]} is", "Set both, or none for a public bucket")
    return bool(given) or any(environment.get(name) for name in _OTHER_CREDENTIALS)


def _allows_http(environment: Mapping[str, str], endpoint: str) -> bool:
    """Return whether connections may be without encryption.

    Raises:
        InputError: The endpoint is without it, and that is not allowed.
    """
    allowed = environment.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes", "on")
    if endpoint.startswith("http://") and not allowed:
        raise InputError(
            endpoint, "is an endpoint without encryption", "Set AWS_ALLOW_HTTP=true to allow it, or give https://"
        )
    return allowed
