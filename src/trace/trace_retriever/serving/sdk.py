"""KServe's SDK, imported in the one safe way: its module reads the process's own arguments when it loads."""

import sys

_arguments = sys.argv
sys.argv = sys.argv[:1]  # else `trace serve --model …` would be read as KServe's --model_name
try:
    from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelRepository
    from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
    from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
    from kserve.protocol.grpc.servicer import InferenceServicer
    from kserve.protocol.infer_type import RequestedOutput, to_http_parameters
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension
finally:
    sys.argv = _arguments

__all__ = [
    "DataPlane",
    "InferInput",
    "InferOutput",
    "InferRequest",
    "InferResponse",
    "InferenceServicer",
    "InvalidInput",
    "Model",
    "ModelNotFound",
    "ModelNotReady",
    "ModelRepository",
    "ModelRepositoryExtension",
    "RequestedOutput",
    "add_GRPCInferenceServiceServicer_to_server",
    "messages",
    "to_http_parameters",
]
