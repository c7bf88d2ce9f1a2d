"""Errors as AWS's services would tell them: a code, a status, a sentence."""

from collections.abc import Mapping

from modelwright.errors import (
    BusyError,
    ConflictError,
    ModelwrightError,
    ObjectError,
    RecordError,
    RefusedError,
    SettingError,
    StoreError,
    UnknownNameError,
)

Refused = tuple[str, int, str]
"""Code, status and message."""

S3_STATUS: Mapping[str, int] = {
    "AccessDenied": 403,
    "BadDigest": 400,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "EntityTooLarge": 400,
    "InvalidRange": 416,
    "MethodNotAllowed": 405,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NotImplemented": 501,
    "NotModified": 304,
    "PreconditionFailed": 412,
}
"""S3's own statuses; 400 for all others."""

_KINDS: Mapping[str, Mapping[type[ModelwrightError], tuple[str, int]]] = {
    "sagemaker": {
        UnknownNameError: ("ValidationException", 400),
        ConflictError: ("ValidationException", 400),
        RecordError: ("ValidationException", 400),
        SettingError: ("ValidationException", 400),
        BusyError: ("ThrottlingException", 400),
        StoreError: ("InternalFailure", 500),
    },
    "runtime": {
        UnknownNameError: ("ValidationError", 400),
        ConflictError: ("ValidationError", 400),
        RecordError: ("ValidationError", 400),
        SettingError: ("ValidationError", 400),
        BusyError: ("ServiceUnavailable", 503),
        StoreError: ("InternalFailure", 500),
    },
    "application-autoscaling": {
        UnknownNameError: ("ObjectNotFoundException", 400),
        ConflictError: ("ConcurrentUpdateException", 500),
        RecordError: ("ValidationException", 400),
        SettingError: ("ValidationException", 400),
        StoreError: ("InternalServiceException", 500),
    },
    "monitoring": {
        UnknownNameError: ("ResourceNotFound", 404),
        RecordError: ("InvalidParameterValue", 400),
        SettingError: ("InvalidParameterValue", 400),
        StoreError: ("InternalServiceFault", 500),
    },
    "sns": {
        UnknownNameError: ("NotFound", 404),
        RecordError: ("InvalidParameter", 400),
        SettingError: ("InvalidParameter", 400),
        StoreError: ("InternalError", 500),
    },
}


def refused(failure: ModelwrightError, service: str) -> Refused:
    """How a service tells an error.

    Args:
        failure: the error.
        service: a name of the table above; another one gets the general codes.
    """
    message = str(failure)
    if isinstance(failure, RefusedError):
        return failure.code, failure.status, message
    if isinstance(failure, ObjectError):
        return failure.code, S3_STATUS.get(failure.code, 400), message
    kinds = _KINDS.get(service, {})
    for kind in type(failure).__mro__:
        if kind in kinds:
            code, status = kinds[kind]
            return code, status, message
    if isinstance(failure, BusyError):
        return "SlowDown" if service == "s3" else "ServiceUnavailable", 503, message
    return "InternalError" if service == "s3" else "InternalFailure", 500, message
