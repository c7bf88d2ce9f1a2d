"""The service's HTTP face in AWS's own protocols, for clients that know nothing of Modelwright.

    app = AwsApp(service, Access())                # without keys: this machine alone, unsigned
    app = AwsApp(service, Access({"AKID": secret}))

What is served of each of sagemaker, sagemaker-runtime, application-autoscaling, cloudwatch, sns, s3 and sts stands at
the end of its module.
"""

from modelwright.serve.aws.access import Access
from modelwright.serve.aws.app import OTHERS, AwsApp

__all__ = ["OTHERS", "Access", "AwsApp"]
