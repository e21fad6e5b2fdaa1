//go:build unix

package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/topologies"
)

// process keeps a worker running, as a supervisor would: whenever it ends, it is started again.
type process struct {
	id      int
	command func() *exec.Cmd
	log     io.Writer

	mu       sync.Mutex
	cmd      *exec.Cmd
	claims   map[string]map[string][]int32 // by group and topic
	frozen   bool
	stopping bool
	killed   bool  // this life ends by our hand
	exits    int   // ends that nobody ordered
	exit     error // of the last life
	done     chan struct{}
}

// restartPause is how long a worker stays away after it ended by itself.
const restartPause = 200 * time.Millisecond

func startProcess(id int, log io.Writer, command func() *exec.Cmd) (*process, error) {
	p := &process{id: id, command: command, log: log, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.loop(started)
	return p, <-started
}

func (p *process) loop(started chan<- error) {
	defer close(p.done)
	for {
		p.mu.Lock()
		if p.stopping {
			p.mu.Unlock()
			return
		}
		cmd := p.command()
		cmd.Stderr = p.log
		// The worker ends when its standard input does, even if this process dies.
		stdin, errIn := cmd.StdinPipe()
		stdout, errOut := cmd.StdoutPipe()
		err := errors.Join(errIn, errOut)
		if err == nil {
			err = cmd.Start()
		}
		p.cmd, p.claims, p.killed = cmd, nil, false
		p.mu.Unlock()
		if started != nil {
			started <- err
			started = nil
		}
		if err != nil {
			return
		}
		p.listen(stdout)
		err = cmd.Wait()
		stdin.Close()
		p.mu.Lock()
		p.exit = err
		alone := !p.killed && !p.stopping
		if alone {
			p.exits++
			fmt.Fprintf(p.log, "harness: w%d ended by itself: %v\n", p.id, err)
		}
		p.mu.Unlock()
		if alone {
			time.Sleep(restartPause)
		}
	}
}

// listen reads assignments until the worker ends.
func (p *process) listen(r io.Reader) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var status []topologies.GroupStatus
		if err := json.Unmarshal(in.Bytes(), &status); err != nil {
			fmt.Fprintf(p.log, "harness: w%d says %q: %v\n", p.id, in.Bytes(), err)
			continue
		}
		claims := map[string]map[string][]int32{}
		for _, g := range status {
			claims[g.Name] = g.Claims
		}
		p.mu.Lock()
		p.claims = claims
		p.mu.Unlock()
	}
}

// partitions is what the worker holds of a topic in a group.
func (p *process) partitions(group, topic string) []int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.claims[group][topic])
}

// kill ends the worker with SIGKILL; it comes back at once.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed, p.frozen = true, false
	p.signal(syscall.SIGKILL)
}

// freeze stops the worker; thaw lets it go on.
func (p *process) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
	p.signal(syscall.SIGSTOP)
}

func (p *process) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen {
		p.frozen = false
		p.signal(syscall.SIGCONT)
	}
}

// signal is for callers that hold the lock. A process that has just ended needs no signal.
func (p *process) signal(s os.Signal) {
	if p.cmd != nil && p.cmd.Process != nil {
		if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			fmt.Fprintf(p.log, "harness: %v to w%d: %v\n", s, p.id, err)
		}
	}
}

// stop ends the worker with SIGTERM, and for good. The error says that it did not end well, or not in time.
func (p *process) stop(within time.Duration) error {
	p.thaw()
	p.mu.Lock()
	p.stopping = true
	p.signal(syscall.SIGTERM)
	p.mu.Unlock()
	select {
	case <-p.done:
		if p.exit != nil {
			return fmt.Errorf("w%d: %w", p.id, p.exit)
		}
		return nil
	case <-time.After(within):
		p.kill()
		<-p.done
		return fmt.Errorf("w%d did not end within %v of SIGTERM", p.id, within)
	}
}
