"""The loops by which published projects embed with a reasoning model, written as they run them.

All share transformers' own `generate` and forward, one model, one preparation of inputs, greedy decoding and
one token limit, so that what differs is the loop alone.
"""
