package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// bar is a progress line on a terminal. It shows itself only when the work takes longer than a moment.
type bar struct {
	w     io.Writer
	on    bool
	begun time.Time
	drawn bool
}

const (
	barDelay    = 500 * time.Millisecond
	barInterval = 100 * time.Millisecond
	barWidth    = 30
)

func newBar(sh *shell) *bar { return &bar{w: sh.err, on: terminal(sh.err), begun: time.Now()} }

// draw shows a share of 0 to 1, with a text behind it.
func (b *bar) draw(share float64, text string) {
	if !b.on || time.Since(b.begun) < barDelay {
		return
	}
	full := int(max(0, min(1, share)) * barWidth)
	fmt.Fprintf(b.w, "\r\x1b[K[%s%s] %3.0f %%  %s", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), 100*share, text)
	b.drawn = true
}

// clear removes the line.
func (b *bar) clear() {
	if b.drawn {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
	b.drawn = false
}
