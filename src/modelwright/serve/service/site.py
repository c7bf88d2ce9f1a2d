"""Where and how a service runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from modelwright.errors import SettingError

BUCKETS = ("modelwright-{region}-{account}", "sagemaker-{region}-{account}")
"""Buckets that a new service makes: one of its own, and the one that SageMaker's SDK takes for the default."""


@final
@dataclass(frozen=True)
class Site:
    """Settings of a service.

    Attributes:
        data: folder of the state, the objects, unpacked models and records of instances; made if there is none.
        region, account: that stand in ARNs and names of buckets.
        time_factor: so many times faster do cooldowns, alarms and decisions of the autoscaler go by. Leases, limits of
            time and times to live do not.
        database: a PostgreSQL address that several servers share; "" for a file in the folder.
        store: URL of an S3-compatible service where inputs, answers and models are; "" for the folder.
        store_settings: of that service, as of `modelwright.serve.objects.RemoteObjects`, such as its keys.
        bucket: there, which must exist, for inputs that come with their requests; "" for one of the folder's.
        most_instances: that this server runs at once; more are waited for.
        patience_s: seconds that an instance has to load its model.
        grace_s: seconds that an instance has to end before it is killed.
        environment: variables of every instance, to which those of its model are added.
        command: program of an instance in place of Modelwright's runner; it takes the runner's words.
        ray: address of a Ray cluster, on whose machines instances run; "" for this one.
        waiting: calls that may wait for each ready instance of an endpoint that answers at once.
        allow_files: models may be folders and archives of this machine.
        private: receivers of messages, and inputs at web servers, may be on this machine and in its network.
    """

    data: Path
    region: str = "us-east-1"
    account: str = "000000000000"
    time_factor: float = 1.0
    database: str = ""
    store: str = ""
    store_settings: Mapping[str, Any] = field(default_factory=dict)
    bucket: str = ""
    most_instances: int = 64
    patience_s: float = 600.0
    grace_s: float = 30.0
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    ray: str = ""
    waiting: int = 16
    allow_files: bool = True
    private: bool = True

    def __post_init__(self) -> None:
        """Check what no type says.

        Raises:
            SettingError: a setting breaks its rule.
        """
        if not self.time_factor > 0:
            raise SettingError("the time factor must be above zero", value=self.time_factor)
        if bool(self.store) != bool(self.bucket):
            rule = "a store elsewhere must have a bucket for inputs that come with their requests, and only that"
            raise SettingError(rule, value=self.store or self.bucket)
        if self.most_instances < 1:
            raise SettingError("a server must be allowed one instance or more", value=self.most_instances)
        if not self.account.isdigit() or len(self.account) != 12:
            raise SettingError("an account must be twelve digits", value=self.account)

    @property
    def buckets(self) -> tuple[str, ...]:
        """Names of the buckets that are there from the beginning; the first one is for what belongs to none."""
        return (
            (self.bucket,)
            if self.bucket
            else tuple(name.format(region=self.region, account=self.account) for name in BUCKETS)
        )
