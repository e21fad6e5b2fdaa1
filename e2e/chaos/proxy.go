package chaos

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Proxy stands between clients and brokers. To clients it looks like the cluster: in the answers that name brokers it
// puts itself in their place. Every nth EndTxn is held back, its connection is cut, so that the client sends it again
// over another one, and after a pause the request that was held back reaches the broker, when the next transaction is
// under way. Every nth other EndTxn reaches the broker in time, but the answer is lost.
type Proxy struct {
	every     int64
	listeners map[string]net.Listener // by broker address
	addrs     []string
	ends      atomic.Int64
	late      atomic.Int64
	lost      atomic.Int64

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
	wg     sync.WaitGroup
}

const (
	// maxFrame bounds what the proxy takes for a request or an answer.
	maxFrame = 128 << 20
	// cutAfter is how long a client waits for the answer of an EndTxn before its connection is cut.
	cutAfter = 20 * time.Millisecond
)

// NewProxy listens once for each broker. every is the n above; 0 leaves all requests alone.
func NewProxy(brokers []string, every int) (*Proxy, error) {
	p := &Proxy{every: int64(every), listeners: map[string]net.Listener{}, conns: map[net.Conn]bool{}}
	for _, b := range brokers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			p.Close()
			return nil, err
		}
		p.listeners[b] = l
		p.addrs = append(p.addrs, l.Addr().String())
	}
	for b, l := range p.listeners {
		p.wg.Go(func() { p.serve(l, b) })
	}
	return p, nil
}

// Addrs are the addresses for clients.
func (p *Proxy) Addrs() []string { return p.addrs }

// Late is how many EndTxn requests have reached the broker late so far; Lost, how many answers were withheld.
func (p *Proxy) Late() int64 { return p.late.Load() }

// Lost is how many answers to EndTxn were withheld.
func (p *Proxy) Lost() int64 { return p.lost.Load() }

// Close cuts everything and waits.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	for _, l := range p.listeners {
		l.Close()
	}
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// keep remembers a connection for Close; false means that it is too late.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) serve(l net.Listener, broker string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if !p.keep(c) {
			return
		}
		p.wg.Go(func() {
			defer p.drop(c)
			var d net.Dialer
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			b, err := d.DialContext(ctx, "tcp", broker)
			if err != nil {
				abrupt(c) // as near as can be to a refused connection
				return
			}
			if !p.keep(b) {
				return
			}
			x := &link{proxy: p, client: c, broker: b, asked: map[int32]question{}}
			p.wg.Go(x.answers)
			x.requests()
		})
	}
}

// link is one client connection with its way to the broker.
type link struct {
	proxy          *Proxy
	client, broker net.Conn

	mu    sync.Mutex
	asked map[int32]question // requests whose answers are changed, by correlation id
	held  bool               // the broker's side outlives the client's
}

type question struct {
	key, version int16
}

// requests passes requests on until one side ends.
func (x *link) requests() {
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if !x.held {
			x.proxy.drop(x.broker)
		}
	}()
	r := bufio.NewReaderSize(x.client, 64<<10)
	for {
		frame, err := readFrame(r)
		if err != nil || len(frame) < 12 {
			return
		}
		q := question{int16(binary.BigEndian.Uint16(frame[4:])), int16(binary.BigEndian.Uint16(frame[6:]))}
		switch kmsg.Key(q.key) {
		case kmsg.Metadata, kmsg.FindCoordinator, kmsg.DescribeCluster:
			x.mu.Lock()
			x.asked[int32(binary.BigEndian.Uint32(frame[8:]))] = q
			x.mu.Unlock()
		case kmsg.EndTxn:
			if x.endTxn(frame) {
				return
			}
		default:
		}
		if _, err := x.broker.Write(frame); err != nil {
			return
		}
	}
}

// endTxn decides about an EndTxn and reports whether the connection is over.
func (x *link) endTxn(frame []byte) bool {
	p := x.proxy
	if p.every == 0 {
		return false
	}
	switch p.ends.Add(1) % p.every {
	case 0: // held back
		x.hold()
		p.wg.Go(func() {
			defer p.drop(x.broker)
			time.Sleep(cutAfter + time.Duration(rand.Int64N(int64(400*time.Millisecond))))
			if _, err := x.broker.Write(frame); err != nil {
				return
			}
			p.late.Add(1)
			// A broker drops what is left of a connection that is closed: the request has to be read first.
			time.Sleep(200 * time.Millisecond)
		})
		x.reset()
		return true
	case p.every / 2: // the answer is lost
		x.hold()
		if _, err := x.broker.Write(frame); err == nil {
			p.lost.Add(1)
		}
		p.wg.Go(func() {
			defer p.drop(x.broker)
			time.Sleep(200 * time.Millisecond)
		})
		x.reset()
		return true
	}
	return false
}

// reset gives the client time to wait, and then has its connection reset. An orderly end right after the first request
// would be taken for a refused login, and not be tried again.
func (x *link) reset() {
	time.Sleep(cutAfter)
	abrupt(x.client)
}

// abrupt makes that closing the connection resets it.
func abrupt(c net.Conn) {
	if c, ok := c.(*net.TCPConn); ok {
		c.SetLinger(0) //nolint:errcheck // then it is an orderly end
	}
}

// hold keeps answers from the client and the broker's side open.
func (x *link) hold() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.held = true
}

// answers passes answers on until one side ends.
func (x *link) answers() {
	defer x.proxy.drop(x.client)
	r := bufio.NewReaderSize(x.broker, 64<<10)
	for {
		frame, err := readFrame(r)
		if err != nil || len(frame) < 8 {
			return
		}
		id := int32(binary.BigEndian.Uint32(frame[4:]))
		x.mu.Lock()
		q, ok := x.asked[id]
		delete(x.asked, id)
		held := x.held
		x.mu.Unlock()
		if held {
			continue
		}
		if ok {
			if frame, err = x.proxy.rewrite(q, frame); err != nil {
				return
			}
		}
		if _, err := x.client.Write(frame); err != nil {
			return
		}
	}
}

func readFrame(r *bufio.Reader) ([]byte, error) {
	size, err := r.Peek(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size)
	if n > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, 4+n)
	_, err = io.ReadFull(r, frame)
	return frame, err
}

// rewrite puts the proxy's addresses in the place of the brokers'.
func (p *Proxy) rewrite(q question, frame []byte) ([]byte, error) {
	res := kmsg.ResponseForKey(q.key)
	if res == nil {
		return nil, fmt.Errorf("no answer for request %d", q.key)
	}
	res.SetVersion(q.version)
	head := frame[:8]
	body := frame[8:]
	if res.IsFlexible() { // an empty list of tags ends the header
		if len(body) == 0 || body[0] != 0 {
			return nil, errors.New("header with tags")
		}
		head, body = frame[:9], body[1:]
	}
	if err := res.ReadFrom(body); err != nil {
		return nil, err
	}
	switch r := res.(type) {
	case *kmsg.MetadataResponse:
		for i := range r.Brokers {
			p.translate(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.FindCoordinatorResponse:
		p.translate(&r.Host, &r.Port)
		for i := range r.Coordinators {
			p.translate(&r.Coordinators[i].Host, &r.Coordinators[i].Port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range r.Brokers {
			p.translate(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	}
	out := res.AppendTo(append([]byte(nil), head...))
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out, nil
}

func (p *Proxy) translate(host *string, port *int32) {
	l, ok := p.listeners[hostPort(*host, *port)]
	if !ok {
		return
	}
	a := l.Addr().(*net.TCPAddr)
	*host, *port = a.IP.String(), int32(a.Port)
}

func hostPort(host string, port int32) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }
