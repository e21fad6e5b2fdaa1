//go:build unix

package chaos

import (
	"os/exec"
	"testing"
	"time"
)

// TestProcess holds that a worker comes back however it ends, and ends when it is told to.
func TestProcess(t *testing.T) {
	starts := make(chan bool, 100)
	p, err := startProcess(1, t.Output(), func() *exec.Cmd {
		starts <- true
		return exec.Command("sh", "-c", `trap "exit 0" TERM; echo '[{"name":"g","claims":{"t":[1,2]}}]'; while :; do sleep 0.05; done`)
	})
	if err != nil {
		t.Fatal(err)
	}
	claims := func() {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); len(p.partitions("g", "t")) != 2; {
			if time.Now().After(deadline) {
				t.Fatalf("claims %v", p.claims)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	<-starts
	claims()
	p.kill()
	<-starts
	claims()
	p.freeze()
	p.thaw()
	if err := p.stop(10 * time.Second); err != nil {
		t.Error(err)
	}
	if p.exits != 0 {
		t.Errorf("%d ends that nobody ordered", p.exits)
	}

	short, err := startProcess(2, t.Output(), func() *exec.Cmd { starts <- true; return exec.Command("false") })
	if err != nil {
		t.Fatal(err)
	}
	<-starts
	<-starts
	if short.stop(10*time.Second) == nil {
		t.Error("a worker that failed has ended well")
	}
	if short.exits == 0 {
		t.Error("ends that nobody ordered are not counted")
	}
}
