"""Cluster settings that use everything there is."""

import json
from typing import Any

from trace_retriever.config.cluster import ClusterSettings


def cluster(volume: str = "/shared", **multi_node: Any) -> ClusterSettings:
    return ClusterSettings.model_validate_json(
        json.dumps(
            {
                "images": {"cpu": "registry.example/trace:1-cpu", "gpu": "registry.example/trace:1-gpu"},
                "image_pull_secrets": ["registry"],
                "steps": {
                    "train": {
                        "image": "gpu",
                        "accelerator": {"count": 4},
                        "shared_memory": "16Gi",
                        "node_selector": {"pool": "gpu"},
                        "tolerations": [{"key": "gpu", "effect": "NoSchedule"}],
                        "volumes": [
                            {"claim": "work", "path": volume},
                            {"claim": "work", "path": "/cache", "sub_path": "cache"},
                            {"claim": "data", "path": "/data"},
                        ],
                        "work_volume": f"{volume}/work",
                        "secrets": [{"secret": "s3", "key": "password", "variable": "AWS_SECRET_ACCESS_KEY"}],
                        "env": {"NCCL_SOCKET_IFNAME": "eth0"},
                        "timeout_seconds": 86400,
                    }
                },
                "multi_node": {"nodes": 2, "processes_per_node": 4, "max_restarts": 3, **multi_node},
            }
        )
    )
