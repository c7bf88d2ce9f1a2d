"""SageMaker's own Python SDK, version 2, against a running service: deploy, predict asynchronously, update, delete.

    pip install 'sagemaker<3' in an environment of its own, then there, with a service at AWS_ENDPOINT_URL:
    python benchmarks/quality/sagemaker_sdk.py MODEL.tar.gz

MODEL.tar.gz is such as `modelwright serve pack --script extractive` writes. The SDK asks a fixed host for its default
bucket, so that is named here; nothing else differs from what its documentation shows. Prints a line a step.
"""

import os
import sys

import boto3
import sagemaker
from sagemaker.async_inference import AsyncInferenceConfig, WaiterConfig
from sagemaker.deserializers import JSONDeserializer
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.predictor_async import AsyncPredictor
from sagemaker.serializers import JSONSerializer

TEXT = "The bridge will cost three million. It rained. The council will meet about the bridge, and its cost, again."
BUCKET = "sagemaker-us-east-1-000000000000"


def main() -> None:
    """All steps, each of which raises where it fails."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.setdefault(name, "local")
    boto = boto3.Session(region_name="us-east-1")
    session = sagemaker.Session(boto, default_bucket=BUCKET)
    location = session.upload_data(sys.argv[1], key_prefix="sdk")
    print(f"uploaded {location}")
    model = Model(
        image_uri="any",
        model_data=location,
        role="arn:aws:iam::000000000000:role/local",
        predictor_cls=Predictor,
        sagemaker_session=session,
        name="sdk-model",
    )
    config = AsyncInferenceConfig(output_path=f"s3://{BUCKET}/sdk-out", max_concurrent_invocations_per_instance=2)
    predictor = model.deploy(
        initial_instance_count=1,
        instance_type="ml.m5.xlarge",
        endpoint_name="sdk-endpoint",
        async_inference_config=config,
        serializer=JSONSerializer(),
        deserializer=JSONDeserializer(),
    )
    if not isinstance(predictor, AsyncPredictor):
        predictor = AsyncPredictor(predictor)
    print(f"deployed {predictor.endpoint_name} as {type(predictor).__name__}")
    waiter = WaiterConfig(max_attempts=60, delay=1)
    asked = predictor.predict_async(data={"inputs": TEXT, "parameters": {"sentences": 1}})
    print(f"asked, output at {asked.output_path}")
    print(asked.get_result(waiter))
    print(predictor.predict(data={"inputs": TEXT, "parameters": {"sentences": 2}}, waiter_config=waiter))
    predictor.update_endpoint(initial_instance_count=2, instance_type="ml.m5.xlarge", wait=True)
    print("updated")
    predictor.delete_endpoint(delete_endpoint_config=True)
    model.delete_model()
    print("deleted")


if __name__ == "__main__":
    main()
