"""S3 in path style over the service's objects: buckets, objects, lists, uploads in parts."""

from modelwright.serve.aws.s3.routes import answer

__all__ = ["answer"]
