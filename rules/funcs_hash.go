package rules

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/google/uuid"

	"github.com/millrace-io/millrace/schemas"
)

func hashFunctions() []*function {
	const g = "Hashes"
	return []*function{
		{
			group: g, signature: "sha256(s string) string", doc: "64 hexadecimal digits",
			example: `substring(sha256("a"), 0, 8)`, want: `"ca978112"`,
			build: fn1(func(e *Env, s string) string {
				if !e.step(len(s)/64) || !e.grow(64) {
					return ""
				}
				sum := sha256.Sum256([]byte(s))
				return hex.EncodeToString(sum[:])
			}),
		},
		{
			group: g, signature: "murmur2(s string) int", doc: "Kafka's partitioning hash, 0 to 2147483647; `murmur2(key) % n` is the partition of n",
			example: `murmur2("21")`, want: `1173551340`,
			build: fn1(func(e *Env, s string) int64 {
				e.scan(4 * len(s))
				return int64(schemas.Murmur2([]byte(s)) & 0x7fffffff)
			}),
		},
		{
			group: g, signature: "uuid5(namespace string, name string) string", doc: "UUID of version 5 in the namespace: a UUID, or dns, url, oid, x500",
			example: `uuid5("dns", "python.org")`, want: `"886313e1-3b8a-5372-9b90-0c9aee199e5d"`,
			build: fn2(func(e *Env, namespace, name string) string {
				if !e.step(len(name)/64) || !e.grow(36) {
					return ""
				}
				var ns uuid.UUID
				switch namespace {
				case "dns":
					ns = uuid.NameSpaceDNS
				case "url":
					ns = uuid.NameSpaceURL
				case "oid":
					ns = uuid.NameSpaceOID
				case "x500":
					ns = uuid.NameSpaceX500
				default:
					var err error
					if ns, err = uuid.Parse(namespace); err != nil || len(namespace) != 36 {
						e.fail(codeArgument, "the namespace of uuid5 is no UUID")
						return ""
					}
				}
				return uuid.NewSHA1(ns, []byte(name)).String()
			}),
		},
	}
}
