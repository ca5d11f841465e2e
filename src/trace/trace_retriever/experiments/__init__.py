"""The paper's questions as experiments: variants trained alike, measured alike, compared in pairs."""
