"""Reads a topic to its end as a member of a consumer group and prints one JSON object per record."""

import argparse
import base64
import datetime
import decimal
import json
import sys
import uuid

from confluent_kafka import KafkaError, DeserializingConsumer
from confluent_kafka.error import ConsumeError
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import StringDeserializer

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def plain(value):
    """What JSON lacks: times become integers again, as they are on the wire in milliseconds, bytes base64."""
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // datetime.timedelta(milliseconds=1)
    if isinstance(value, datetime.date):
        return (value - EPOCH.date()).days
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    raise TypeError(f"{type(value)} in a record")


def text(header):
    """A header's value, with what is not UTF-8 escaped (the writer header is binary)."""
    return None if header is None else header.decode("utf-8", "backslashreplace")


def main():
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--brokers", required=True)
    flags.add_argument("--registry", required=True)
    flags.add_argument("--topic", required=True)
    flags.add_argument("--timeout", type=float, default=60, help="seconds without any record until it gives up")
    args = flags.parse_args()

    registry = SchemaRegistryClient({"url": args.registry})
    consumer = DeserializingConsumer({
        "bootstrap.servers": args.brokers,
        "group.id": f"python-{uuid.uuid4()}",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "key.deserializer": StringDeserializer(),
        "value.deserializer": AvroDeserializer(registry),
    })
    left = set(consumer.list_topics(args.topic, timeout=30).topics[args.topic].partitions)
    consumer.subscribe([args.topic])
    while left:
        try:
            message = consumer.poll(args.timeout)
        except ConsumeError as e:
            if e.code == KafkaError._PARTITION_EOF:
                left.discard(e.kafka_message.partition())
                continue
            raise
        if message is None:
            sys.exit(f"no record for {args.timeout} s, partitions {sorted(left)} are not at their end")
        json.dump({
            "partition": message.partition(),
            "offset": message.offset(),
            "key": message.key(),
            "timestamp": message.timestamp()[1],
            "headers": {name: text(value) for name, value in message.headers() or []},
            "value": message.value(),
        }, sys.stdout, default=plain)
        print()
    consumer.close()


main()
