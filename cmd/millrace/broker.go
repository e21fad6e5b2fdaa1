package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// The ports that clients expect. They are taken when free; otherwise any is.
const (
	kafkaPort    = 9092
	registryPort = 8081
	httpPort     = 8080
)

// listen opens a TCP port: the address if there is one, else the preferred port of this machine alone, else any.
func listen(ctx context.Context, address string, preferred int) (net.Listener, error) {
	var lc net.ListenConfig
	if address != "" {
		return lc.Listen(ctx, "tcp", address)
	}
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(preferred)))
	if err != nil {
		return lc.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	return l, nil
}

// embeddedBroker is a Kafka broker in this process.
type embeddedBroker struct {
	fake    *kfake.Cluster
	address string // host:port
}

// startBroker serves Kafka's protocol at the address. With a directory the broker keeps its topics there, and finds
// them again; without one they are in memory.
func startBroker(ctx context.Context, address, dir string) (*embeddedBroker, error) {
	l, err := listen(ctx, address, kafkaPort)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	if a, ok := l.Addr().(*net.TCPAddr); ok && a.IP.IsUnspecified() {
		l.Close()
		return nil, usage("--kafka %s: name the address that clients use; a broker tells it to them", address)
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return l, nil }),
		kfake.ClusterID("millrace-dev"),
		kfake.GroupMinSessionTimeout(500 * time.Millisecond),
		// Records have the time of their events, which may be years ago.
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}),
	}
	if dir != "" {
		opts = append(opts, kfake.DataDir(dir))
	}
	fake, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded broker: %w", err), l.Close())
	}
	return &embeddedBroker{fake: fake, address: l.Addr().String()}, nil
}

func (b *embeddedBroker) close() { b.fake.Close() }
