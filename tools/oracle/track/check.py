#!/usr/bin/env python3
"""Reads the file of an offline run with wandb's own protocol buffers and prints its records.

    WANDB_MODE=offline WANDB_DIR=OUT distillflow run recipes/gsm8k.yaml
    python tools/oracle/track/check.py OUT/wandb/offline-run-*/run-*.wandb

Needs wandb. A record that wandb's file format or messages do not have is an error.
"""

import struct
import sys
import zlib

from wandb.proto import wandb_internal_pb2

BLOCK = 32768


def records(data):
    assert data[:7] == b":W&B\xe1\xbe\x00", data[:7]
    at, whole = 7, b""
    while at < len(data):
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        crc, size, kind = struct.unpack("<IHB", data[at : at + 7])
        part = data[at + 7 : at + 7 + size]
        assert zlib.crc32(bytes([kind]) + part) == crc, f"checksum at {at}"
        at, whole = at + 7 + size, whole + part
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            assert record.WhichOneof("record_type"), f"record {record.num} holds nothing that wandb knows"
            yield record
            whole = b""


def main(path):
    with open(path, "rb") as f:
        for record in records(f.read()):
            print(record.num, record.WhichOneof("record_type"), str(record).replace("\n", " ")[:300])


if __name__ == "__main__":
    main(*sys.argv[1:])
