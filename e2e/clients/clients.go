// Package clients runs Kafka clients of other languages against a broker and a schema registry: Confluent's for Python,
// with its Avro serializers, and Apache's for Java with Apache Avro. They come from the public package registries, pinned,
// and are kept in a cache folder outside of the source tree.
package clients

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Record is what a foreign consumer has read.
type Record struct {
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Key       string            `json:"key"`
	Timestamp int64             `json:"timestamp"` // ms
	Headers   map[string]string `json:"headers"`   // what is not UTF-8 is mangled
	Value     map[string]any    `json:"value"`     // as JSON has it: numbers are float64, times are ms
}

// Delivered says where a record went that a foreign producer has written.
type Delivered struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Key       string `json:"key"`
}

// Message is a record for a foreign producer. Numbers of Value may be json.Number.
type Message struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

// PythonConsume reads a topic to its end with Confluent's DeserializingConsumer and AvroDeserializer.
func PythonConsume(tb testing.TB, brokers, registry, topic string) []Record {
	tb.Helper()
	return lines[Record](tb, Python(tb, "consume.py", nil, "--brokers", brokers, "--registry", registry, "--topic", topic))
}

// PythonProduce writes messages with Confluent's SerializingProducer and AvroSerializer. A schema of "" takes what the
// registry has for the topic, another one is registered. A partitioner of "" is librdkafka's default
// (consistent_random, by CRC32); murmur2_random is Java's.
func PythonProduce(tb testing.TB, brokers, registry, topic, schema, partitioner string, messages []Message) []Delivered {
	tb.Helper()
	args := []string{"--brokers", brokers, "--registry", registry, "--topic", topic}
	if schema != "" {
		file := filepath.Join(tb.TempDir(), "schema.avsc")
		if err := os.WriteFile(file, []byte(schema), 0o600); err != nil {
			tb.Fatal(err)
		}
		args = append(args, "--schema", file)
	}
	if partitioner != "" {
		args = append(args, "--partitioner", partitioner)
	}
	var in bytes.Buffer
	out := json.NewEncoder(&in)
	for _, m := range messages {
		if err := out.Encode(m); err != nil {
			tb.Fatal(err)
		}
	}
	return lines[Delivered](tb, Python(tb, "produce.py", &in, args...))
}

// JavaConsume reads a topic to its end with kafka-clients and Apache Avro.
func JavaConsume(tb testing.TB, brokers, registry, topic string) []Record {
	tb.Helper()
	return lines[Record](tb, Java(tb, brokers, registry, topic))
}

// Python runs a script of e2e/clients/python and returns what it printed. Without Python the test is skipped, with CI=true
// it fails.
func Python(tb testing.TB, script string, stdin io.Reader, args ...string) []byte {
	tb.Helper()
	need(tb, "python3")
	source := folder(tb, "python")
	home := cached(tb, "python", filepath.Join(source, "requirements.txt"), func(home string) error {
		if err := quiet("python3", "-m", "venv", home); err != nil {
			return err
		}
		return quiet(filepath.Join(home, "bin", "python"), "-m", "pip", "install", "--quiet", "--requirement",
			filepath.Join(source, "requirements.txt"))
	})
	return output(tb, stdin, filepath.Join(home, "bin", "python"), append([]string{filepath.Join(source, script)}, args...)...)
}

// Java runs the consumer of e2e/clients/java and returns what it printed. Without a JVM and Maven the test is skipped, with
// CI=true it fails.
func Java(tb testing.TB, args ...string) []byte {
	tb.Helper()
	need(tb, "java", "mvn")
	source := folder(tb, "java")
	home := cached(tb, "java", source, func(home string) error {
		return quiet("mvn", "-B", "-q", "-f", filepath.Join(source, "pom.xml"), "-Dout="+home, "compile",
			"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(home, "lib"))
	})
	path := filepath.Join(home, "classes") + string(os.PathListSeparator) + filepath.Join(home, "lib", "*")
	return output(tb, nil, "java", append([]string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path, "Consume"}, args...)...)
}

func need(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				tb.Fatalf("no foreign client: %v", err)
			}
			tb.Skipf("no foreign client: %v", err)
		}
	}
}

// folder finds e2e/clients/<name> in the module that the working directory lies in.
func folder(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		found := filepath.Join(dir, "e2e", "clients", name)
		if _, err := os.Stat(found); err == nil {
			return found
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatalf("no e2e/clients/%s above the working directory", name)
		}
		dir = parent
	}
}

// cached gives a folder that build has filled for just this content of sources (a file or a tree). A build that fails
// leaves nothing that would be taken for whole.
func cached(tb testing.TB, name, sources string, build func(home string) error) string {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	sum, err := digest(sources)
	if err != nil {
		tb.Fatal(err)
	}
	home := filepath.Join(cache, "millrace-clients", name+"-"+sum)
	done := filepath.Join(home, ".complete")
	if _, err := os.Stat(done); err == nil {
		return home
	}
	tb.Logf("building the %s client in %s", name, home)
	if err := errors.Join(os.RemoveAll(home), os.MkdirAll(home, 0o755), build(home), os.WriteFile(done, nil, 0o600)); err != nil {
		_ = os.Remove(done) // the error says more than a second one
		tb.Fatal(err)
	}
	return home
}

// digest names the content of a file or of all files of a tree.
func digest(root string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", strings.TrimPrefix(path, root), len(text), text)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)[:6]), err
}

// quiet runs a command whose output matters only when it fails.
func quiet(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

func output(tb testing.TB, stdin io.Reader, name string, args ...string) []byte {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), name, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, &stderr)
	}
	return out
}

// lines decodes newline-delimited JSON.
func lines[T any](tb testing.TB, text []byte) []T {
	tb.Helper()
	var all []T
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var one T
		switch err := dec.Decode(&one); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			tb.Fatalf("%v in %s", err, text)
		}
		all = append(all, one)
	}
}
