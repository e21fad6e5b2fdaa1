"""Writes records from standard input, one JSON object {"key", "value"} per line, and prints where each went."""

import argparse
import json
import sys

from confluent_kafka import SerializingProducer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import StringSerializer


def main():
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--brokers", required=True)
    flags.add_argument("--registry", required=True)
    flags.add_argument("--topic", required=True)
    flags.add_argument("--schema", help="file with the Avro schema to register (default: what the registry has)")
    flags.add_argument("--partitioner", help="default: the client's own, which is not Java's")
    args = flags.parse_args()

    registry = SchemaRegistryClient({"url": args.registry})
    if args.schema:
        with open(args.schema) as file:
            serializer = AvroSerializer(registry, file.read())
    else:
        schema = registry.get_latest_version(f"{args.topic}-value").schema
        serializer = AvroSerializer(registry, schema, conf={"auto.register.schemas": False, "use.latest.version": True})
    conf = {
        "bootstrap.servers": args.brokers,
        "key.serializer": StringSerializer(),
        "value.serializer": serializer,
    }
    if args.partitioner:
        conf["partitioner"] = args.partitioner
    producer = SerializingProducer(conf)

    failures = []

    def delivered(error, message):
        if error:
            failures.append(error)
            return
        json.dump({"partition": message.partition(), "offset": message.offset(), "key": message.key().decode()}, sys.stdout)
        print()

    for line in sys.stdin:
        record = json.loads(line)
        producer.produce(args.topic, key=record["key"], value=record["value"], on_delivery=delivered)
        producer.poll(0)
    if producer.flush(60) > 0:
        sys.exit("not all records were delivered in a minute")
    if failures:
        sys.exit(f"{len(failures)} records failed, the first: {failures[0]}")


main()
