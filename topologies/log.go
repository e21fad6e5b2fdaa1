package topologies

import (
	"fmt"
	"log/slog"
)

// gokaLog passes goka's messages on at debug level: what matters of them reaches the log as an error of the
// incarnation.
type gokaLog struct{ *slog.Logger }

// Printf implements goka's logger.
func (l gokaLog) Printf(format string, args ...any) { l.Debug(fmt.Sprintf(format, args...)) }

// Print implements goka's logger.
func (l gokaLog) Print(v ...any) { l.Debug(fmt.Sprint(v...)) }

// Println implements goka's logger.
func (l gokaLog) Println(v ...any) { l.Debug(fmt.Sprint(v...)) }
